/** Users of each day, new and returning, and below them how long their sessions are. */

import { axes, swatch, tip, tooltip } from "../chart.js";
import { element } from "../dom.js";
import { between, day, number, shortDay, t, tenths } from "../i18n.js";
import { nothingIn, state } from "../panel.js";
import { colour } from "../theme.js";

const NEW = "--series-2";
const RETURNING = "--series-1";
const SESSIONS = "--series-3";

export const audience = {
  name: "audience",
  anyGenre: true,
  chart: true,
  sources: ["active_users"],
  follows: ["last", "anchor", "since", "until"],
  question: () => ["/audience", state.range({ days: 30 })],
  subtitle: ({ since, until, days }) => (days.length ? between(since ?? days[0].date, until) : ""),
  empty: ({ days }) => nothingIn(days),
  columns: () => [
    { label: t("column.day"), kind: "name", cell: (row) => day(row.date) },
    { label: t("column.users"), kind: "number", cell: (row) => number(row.total_users) },
    { label: t("column.new_users"), kind: "number", cell: (row) => number(row.new_users) },
    { label: t("column.returning_users"), kind: "number", cell: (row) => number(row.returning_users) },
    { label: t("column.sessions"), kind: "number", cell: (row) => number(row.sessions) },
    { label: t("column.session_minutes"), kind: "number", cell: (row) => tenths(row.avg_session_duration) },
  ],
  rows: ({ days }) => [...days].reverse(),
  setUp,
  draw,
};

function setUp(panel) {
  const items = [
    [RETURNING, "column.returning_users"],
    [NEW, "column.new_users"],
    [SESSIONS, "column.session_minutes"],
  ];
  panel.content.prepend(
    element("ul", { class: "legend" }, ...items.map(([variable, key]) => element("li", {}, swatch(variable), t(key)))),
  );
}

function draw(picture, { days }) {
  const dates = days.map(({ date }) => date);
  const label = { formatter: shortDay };
  const upper = axes({
    x: { type: "category", data: dates, axisLabel: { show: false }, gridIndex: 0 },
    y: { type: "value", minInterval: 1, splitNumber: 4, gridIndex: 0 },
  });
  const lower = axes({
    x: { type: "category", data: dates, axisLabel: label, gridIndex: 1 },
    y: { type: "value", splitNumber: 2, gridIndex: 1, axisLabel: { formatter: (minutes) => `${tenths(minutes)} min` } },
  });
  const bar = { type: "bar", stack: "users", barMaxWidth: 34, emphasis: { disabled: true } };
  const side = { left: 52, right: 8, outerBoundsMode: "none" };
  picture.draw(
    {
      textStyle: upper.textStyle,
      grid: [
        { ...side, top: 8, height: "54%" },
        { ...side, bottom: 24, height: "24%" },
      ],
      xAxis: [upper.xAxis, lower.xAxis],
      yAxis: [upper.yAxis, lower.yAxis],
      tooltip: tooltip(([point]) => tipOf(days[point.dataIndex])),
      axisPointer: { link: [{ xAxisIndex: "all" }] },
      series: [
        { ...bar, id: "returning", itemStyle: { color: colour(RETURNING) }, data: days.map((row) => row.returning_users) },
        { ...bar, id: "new", itemStyle: { color: colour(NEW) }, data: days.map((row) => row.new_users) },
        {
          id: "minutes",
          type: "line",
          xAxisIndex: 1,
          yAxisIndex: 1,
          symbolSize: 6,
          lineStyle: { width: 2, color: colour(SESSIONS) },
          itemStyle: { color: colour(SESSIONS) },
          emphasis: { disabled: true },
          data: days.map((row) => row.avg_session_duration),
        },
      ],
    },
    t("audience.described", { n: days.length, users: days.at(-1).total_users, day: day(days.at(-1).date) }),
  );
}

function tipOf(row) {
  return tip(day(row.date), [
    [NEW, t("column.new_users"), number(row.new_users)],
    [RETURNING, t("column.returning_users"), number(row.returning_users)],
    [null, t("column.users"), number(row.total_users)],
    [SESSIONS, t("column.session_minutes"), tenths(row.avg_session_duration)],
  ]);
}
