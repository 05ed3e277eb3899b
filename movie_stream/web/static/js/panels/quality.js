/**
 * The quality of the data, with a traffic light: of all source partitions, and of each. A light is a shape and a word,
 * and its colour says nothing that these do not.
 */

import { element } from "../dom.js";
import { between, moment, number, percent, span, t } from "../i18n.js";
import { state } from "../panel.js";

const SHAPES = { green: "✓", yellow: "!", red: "✕", grey: "–" };
const WORST_FIRST = ["red", "yellow", "grey", "green"];
const REASONS = 5;

/** The facts, in the order in which they are shown: the figure by which it is judged, and its text. */
const FACTS = [
  { name: "records", text: (row) => number(row.records) },
  { name: "bad", figure: "bad", text: (row) => percent(row.bad, row.records) },
  { name: "late", figure: "late", text: (row) => percent(row.late, row.records) },
  { name: "completeness", figure: "completeness", text: (row) => percent(row.completeness, 1), when: (row) => row.completeness !== null },
  { name: "delay", figure: "avg_delay_s", text: (row) => delay(row.avg_delay_s) },
  { name: "without_rating", figure: "without_rating", text: (row) => percent(row.without_rating, row.views) },
  { name: "without_duration", figure: "without_duration", text: (row) => percent(row.without_duration, row.views) },
  { name: "without_price", figure: "without_price", text: (row) => percent(row.without_price, row.views) },
  { name: "new_genres", figure: "new_genres", text: (row) => number(row.new_genres) },
  { name: "retitled", figure: "retitled", text: (row) => number(row.retitled) },
];

const share = (name, of) => ({ label: t(`quality.${name}`), kind: "number", cell: (row) => percent(row[name], row[of]) });

export const quality = {
  name: "quality",
  anyGenre: true,
  size: "full short",
  sources: ["data_quality"],
  follows: ["last", "anchor", "since", "until"],
  question: () => ["/quality", state.range()],
  subtitle: ({ since, until, newest }) => [between(since, until), newest && t("quality.newest", { time: moment(newest) })].filter(Boolean).join(" · "),
  empty: ({ total }) => (total ? null : "empty.quality"),
  columns: () => [
    { label: t("column.partition"), cell: ({ partition }) => (partition === null ? t("total") : String(partition)) },
    { label: t("column.state"), cell: (row) => t(`light.${row.light}`), state: (row) => `verdict ${row.light}` },
    { label: t("column.records"), kind: "number", cell: (row) => number(row.records) },
    share("bad", "records"),
    share("late", "records"),
    { label: t("quality.completeness"), kind: "number", cell: (row) => percent(row.completeness, 1) },
    { label: t("quality.empty_hours"), kind: "number", cell: (row) => (row.hours ? `${number(row.empty_hours)} / ${number(row.hours)}` : "–") },
    { label: t("quality.heard"), kind: "faint", cell: (row) => moment(row.heard) },
    { label: t("quality.delay"), kind: "number", cell: (row) => delay(row.avg_delay_s) },
    { label: t("quality.longest"), kind: "number", cell: (row) => delay(row.max_delay_s) },
    share("without_rating", "views"),
    share("without_duration", "views"),
    share("without_price", "views"),
    { label: t("quality.new_genres"), kind: "number", cell: (row) => number(row.new_genres) },
    { label: t("quality.retitled"), kind: "number", cell: (row) => number(row.retitled) },
    { label: t("quality.reason"), kind: "faint", cell: ({ reasons: [first] }) => (first ? `${first.reason} (${number(first.count)})` : "–") },
  ],
  rows: ({ total, partitions }) => [total, ...partitions],
  make: (panel) => new Lights(panel),
};

const nameOf = ({ partition }) => (partition === null ? t("total") : t("quality.partition", { n: String(partition) }));
const delay = (seconds) => span(seconds === null ? null : seconds * 1000);

/** The shape of a light; the word beside it is what is read out. */
const lamp = (light) => element("span", { class: `lamp ${light}`, "aria-hidden": "true" }, SHAPES[light]);

/** The verdict in words, the facts of all, a line for each partition, and why records were refused. */
class Lights {
  #root;

  constructor(panel) {
    this.#root = panel.content;
  }

  draw({ light, total, partitions, over_until }) {
    const worst = partitions.filter((row) => row.light === light);
    const where = light === total.light || !worst.length ? "" : worst.map(nameOf).join(", ");
    const words = element("strong", {}, where ? t("quality.where", { light: t(`light.${light}`), where }) : t(`light.${light}`));
    this.#root.replaceChildren(
      element("p", { class: `verdict-line ${light}` }, lamp(light), words),
      element("dl", { class: "facts" }, ...FACTS.filter(({ when }) => !when || when(total)).map((fact) => factOf(fact, total))),
      element("div", { class: "sides" }, partitionsOf(partitions, over_until), reasonsOf(total.reasons)),
    );
  }
}

function factOf({ name, figure, text }, row) {
  const beyond = row.judged.find((one) => one.figure === figure && one.limit !== null);
  const value = element("dd", { class: beyond ? beyond.light : null }, beyond ? lamp(beyond.light) : null, text(row));
  const note = beyond ? element("dd", { class: "note" }, limitOf(beyond)) : null;
  return element("div", {}, element("dt", {}, t(`quality.${name}`)), value, note);
}

/** What there is to be said of hours without records, and since when; of a partition that never fails nothing. */
function silenceOf({ records, hours, empty_hours, heard }) {
  const empty = empty_hours ? t("quality.empty_of", { n: empty_hours, of: number(hours) }) : null;
  return [empty, (empty_hours || !records) && heard ? t("quality.heard_of", { time: moment(heard) }) : null];
}

function partitionsOf(partitions, over) {
  const worstFirst = [...partitions].sort((one, other) => WORST_FIRST.indexOf(one.light) - WORST_FIRST.indexOf(other.light));
  const lines = worstFirst.map((row) => {
    const why = row.judged.filter(({ limit }) => limit !== null).map((one) => `${t(`quality.${nameOfFigure(one)}`)} ${valueOf(one)} (${limitOf(one)})`);
    const says = [t(`light.${row.light}`), t("quality.of_records", { n: row.records }), ...silenceOf(row), ...why].filter(Boolean).join(" · ");
    return element("li", {}, lamp(row.light), element("span", {}, element("strong", {}, nameOf(row)), ` ${says}`));
  });
  const note = over && partitions.some(({ hours }) => hours) ? element("p", { class: "note" }, t("quality.over", { time: moment(over) })) : null;
  return element("section", {}, element("h3", {}, t("quality.by_partition")), element("ul", { class: "lights" }, ...lines), note);
}

function reasonsOf(reasons) {
  const lines = reasons.slice(0, REASONS).map(({ reason, count }) => element("li", {}, element("span", {}, reason), element("span", { class: "count" }, number(count))));
  const list = lines.length ? element("ol", { class: "reasons" }, ...lines) : element("p", { class: "note" }, t("empty.dead_letters"));
  return element("section", {}, element("h3", {}, t("quality.reasons")), list);
}

const nameOfFigure = ({ figure }) => (figure === "avg_delay_s" ? "delay" : figure);

/** A figure that was judged, and its limit, in its own unit. */
const valueOf = ({ figure, value }) => written(figure, value);
const limitOf = ({ figure, limit }) => t(figure === "completeness" ? "quality.at_least" : "quality.at_most", { limit: written(figure, limit) });

function written(figure, value) {
  if (figure === "avg_delay_s") return delay(value);
  return figure === "new_genres" ? number(value) : percent(value, 1);
}
