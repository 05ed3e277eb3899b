/** Alerts on the content, those that last first; a severity is a word, and its colour says nothing that this does not. */

import { moment, number, rating, t } from "../i18n.js";

const SEVERITIES = new Set(["info", "warning", "critical"]);
const LIMIT = 100;

export const alerts = {
  name: "alerts",
  size: "full short",
  sources: ["alerts"],
  follows: [],
  question: () => ["/alerts", { limit: LIMIT }],
  subtitle: ({ items, next }) => [t("alerts.open", { n: items.filter(({ open }) => open).length }), next && t("alerts.more", { n: LIMIT })].filter(Boolean).join(" · "),
  empty: ({ items }) => (items.length ? null : "empty.alerts"),
  columns: () => [
    { label: t("column.severity"), cell: ({ severity }) => word(severity), state: ({ severity, open }) => `severity ${severity} ${open ? "" : "over"}`.trim() },
    { label: t("column.rule"), kind: "name", cell: ({ rule }) => rule, title: ({ text }) => text },
    { label: t("column.subject"), kind: "name", cell: ({ label, subject }) => (subject === "all" ? t("alerts.all") : (label ?? subject)) },
    { label: t("column.value"), kind: "number", cell: ({ value }) => figure(value) },
    { label: t("column.threshold"), kind: "number", cell: ({ threshold }) => figure(threshold) },
    { label: t("column.usual"), kind: "number", cell: ({ usual }) => figure(usual) },
    { label: t("column.start"), cell: ({ start }) => moment(start) },
    { label: t("column.end"), cell: ({ end }) => (end === null ? t("alerts.lasts") : moment(end)) },
  ],
  rows: ({ items }) => items,
};

const word = (severity) => (SEVERITIES.has(severity) ? t(`severity.${severity}`) : severity);
/** Views as whole numbers, ratings and shares with what they have behind the point. */
const figure = (value) => (Number.isInteger(value) || value === null ? number(value) : rating(value));
