/** The films of an hour, and how their ranks have changed since the hour before. */

import { element, setOptions } from "../dom.js";
import { between, moment, number, rating, t } from "../i18n.js";
import { nothingIn, state } from "../panel.js";

export const films = {
  name: "films",
  anyGenre: true,
  sources: ["top_movies"],
  follows: ["last", "anchor", "since", "until", "hour"],
  question: () => ["/top-movies", state.now().hour ? { at: state.now().hour } : state.range()],
  subtitle: ({ hour }) => (hour ? between(hour, new Date(Date.parse(hour) + 3_600_000).toISOString()) : ""),
  empty: ({ items }) => nothingIn(items),
  columns: () => [
    { label: t("column.rank"), kind: "number", cell: (row) => number(row.rank) },
    { label: t("column.change"), cell: change, state: changeState, title: changeTitle },
    { label: t("column.film"), kind: "name", cell: (row) => row.title },
    { label: t("column.genre"), kind: "faint", cell: (row) => row.genre },
    { label: t("column.views"), kind: "number", cell: (row) => number(row.views), share: (row) => row.views / row.most },
    { label: t("column.rating"), kind: "number", cell: (row) => rating(row.avg_rating) },
  ],
  rows: ({ items, previous }) => items.map((item) => ({ ...item, first: previous === null, most: items[0].views || 1 })),
  setUp,
  shown,
};

const moved = ({ rank, previous_rank: before }) => (before === null ? null : before - rank);

function change(row) {
  const by = moved(row);
  if (row.first) return "–";
  if (by === null) return t("films.new");
  return by > 0 ? `▲ ${by}` : by < 0 ? `▼ ${-by}` : "=";
}

function changeState(row) {
  const by = moved(row);
  if (row.first) return "";
  return by === null ? "fresh" : by > 0 ? "up" : by < 0 ? "down" : "";
}

function changeTitle(row) {
  if (row.first) return t("films.no_hour_before");
  return row.previous_rank === null ? t("films.was_not_there") : t("films.was", { rank: row.previous_rank });
}

function setUp(panel) {
  panel.hours = element("select", { "aria-label": t("films.hour"), class: "hours" });
  setOptions(panel.hours, [["", t("films.newest")]], "");
  panel.hours.addEventListener("change", () => state.change({ hour: panel.hours.value }));
  panel.actions.append(panel.hours);
}

function shown({ hours, hour }, panel) {
  const chosen = state.now().hour;
  const listed = chosen && hour && !hours.includes(hour) ? [hour, ...hours] : hours;
  const options = listed.map((start) => [start, moment(start)]);
  const held = listed.find((start) => chosen && Date.parse(start) === Date.parse(chosen)) ?? "";
  setOptions(panel.hours, [["", t("films.newest")], ...options], held);
}
