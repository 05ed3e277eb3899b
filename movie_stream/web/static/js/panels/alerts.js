/** Alerts on the content, those that last first; a severity is a word, and its colour says nothing that this does not. */

import { day, moment, number, rating, t, time } from "../i18n.js";

const SEVERITIES = new Set(["info", "warning", "critical"]);
const LIMIT = 100;

export const alerts = {
  name: "alerts",
  size: "full short",
  stacks: true,
  sources: ["alerts", "_workers"], // how far it is evaluated moves also where no alert changes
  follows: [],
  question: () => ["/alerts", { limit: LIMIT }],
  subtitle: ({ items, next, evaluated_until: until, undelivered }) =>
    [
      t("alerts.open", { n: items.filter(({ open }) => open).length }),
      next && t("alerts.more", { n: LIMIT }),
      until && t("alerts.until", { time: ofToday(until) }),
      undelivered > 0 && t("alerts.undelivered", { n: undelivered }),
    ]
      .filter(Boolean)
      .join(" · "),
  empty: ({ items }) => (items.length ? null : "empty.alerts"),
  columns: () => [
    { label: t("column.severity"), cell: ({ severity }) => word(severity), state: ({ severity, open }) => `severity ${severity} ${open ? "" : "over"}`.trim() },
    { label: t("column.rule"), kind: "name", cell: ({ rule }) => rule },
    { label: t("column.subject"), kind: "name", cell: nameOf },
    { label: t("column.says"), kind: "text", cell: (alert) => says(alert) ?? alert.text, lang: (alert) => (says(alert) === null ? "en" : null) },
    { label: t("column.start"), kind: "when", cell: ({ start }) => moment(start) },
    { label: t("column.end"), kind: "when", cell: ({ end }) => (end === null ? t("alerts.lasts") : moment(end)) },
  ],
  rows: ({ items }) => items,
};

const word = (severity) => (SEVERITIES.has(severity) ? t(`severity.${severity}`) : severity);

function nameOf({ kind, label, subject }) {
  if (subject === "all") return t("alerts.all");
  return kind === "quality" ? t("quality.partition", { n: subject }) : (label ?? subject);
}

/** What has happened, in the reader's language; null where only the server has words for it. */
function says({ kind, value, threshold, usual, window_s: seconds }) {
  if (value === null || threshold === null) return null;
  const values = { n: value, value: figure(value), threshold: figure(threshold), usual: figure(usual), window: lengthOf(seconds) };
  if (kind === "silence") return t("alerts.says.silence", values);
  if (kind === "rating_falling") return t("alerts.says.rating_falling", values);
  if (kind !== "views" && kind !== "climbing") return null;
  const compared = value < threshold ? t("alerts.says.below", values) : t("alerts.says.above", values);
  return usual === null ? compared : t("alerts.says.usual", { ...values, compared });
}

/** Views as whole numbers, ratings and medians with what they have behind the point. */
const figure = (value) => (Number.isInteger(value) || value === null ? number(value) : rating(value));
/** The length of a window, in units that both languages have. */
const lengthOf = (seconds) => (seconds % 3600 ? `${number(seconds / 60)} min` : `${number(seconds / 3600)} h`);
/** A time in UTC, without the date where that is today's. */
const ofToday = (iso) => (day(iso) === day(new Date().toISOString()) ? time(iso) : moment(iso));
