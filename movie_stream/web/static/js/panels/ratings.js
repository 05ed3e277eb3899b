/** The average rating over time, between the lowest and the highest, which whole days do not keep. */

import { axes, tip, tooltip } from "../chart.js";
import { startOf } from "../filling.js";
import { between, rating, t } from "../i18n.js";
import { state } from "../panel.js";
import { colour, tint } from "../theme.js";

export const ratings = {
  name: "ratings",
  chart: true,
  sources: ["movies_aggregates", "hourly_metrics", "daily_stats"],
  follows: ["last", "anchor", "since", "until", "genre"],
  question: () => ["/series", { ...state.range(), genre: state.now().genre, points: 500 }],
  subtitle,
  empty: (data) => (data.avg_rating.some((value) => value !== null) ? null : "empty.ratings"),
  columns: () => [
    { label: t("column.start"), cell: (row) => row.label },
    { label: t("column.lowest"), kind: "number", cell: (row) => rating(row.low) },
    { label: t("column.average"), kind: "number", cell: (row) => rating(row.average) },
    { label: t("column.highest"), kind: "number", cell: (row) => rating(row.high) },
  ],
  rows: (data) => points(data).filter((row) => row.average !== null).reverse(),
  draw,
};

const hasBand = ({ resolution }) => resolution !== "day";

function subtitle(data) {
  const said = [between(data.since, data.until), t(`resolution.${data.resolution}`)];
  return [...said, ...(hasBand(data) ? [] : [t("ratings.averages_only")])].join(" · ");
}

/** Of days at the edges of a range, parts may have a lowest and a highest; of days alone they would mislead. */
function points(data) {
  const { times, avg_rating: averages, min_rating: lows, max_rating: highs } = data;
  return times.map((start, index) => ({
    start,
    label: startOf(data, index),
    low: hasBand(data) ? lows[index] : null,
    average: averages[index],
    high: hasBand(data) ? highs[index] : null,
  }));
}

function draw(picture, data) {
  const shown = points(data);
  const rated = shown.filter((row) => row.average !== null);
  const averages = rated.map((row) => row.average);
  const at = (value) => shown.map((row) => [Date.parse(row.start), value(row)]);
  const band = { type: "line", stack: "band", silent: true, symbol: "none", lineStyle: { opacity: 0 } };
  picture.draw(
    {
      ...axes({
        x: { type: "time" },
        y: { type: "value", min: 0, max: 5, interval: 1, axisLabel: { formatter: "{value}" } },
      }),
      tooltip: tooltip(([point]) => tipOf(shown[point.dataIndex])),
      series: [
        { ...band, id: "low", data: at((row) => row.low) },
        {
          ...band,
          id: "band",
          areaStyle: { color: tint("--accent", 0.16) },
          data: at((row) => (row.low === null || row.high === null ? null : row.high - row.low)),
        },
        {
          id: "average",
          type: "line",
          showSymbol: rated.length < 3,
          symbolSize: 7,
          lineStyle: { width: 2, color: colour("--accent") },
          itemStyle: { color: colour("--accent") },
          emphasis: { disabled: true },
          data: at((row) => row.average),
        },
      ],
    },
    t("ratings.described", { low: rating(Math.min(...averages)), high: rating(Math.max(...averages)) }),
  );
}

function tipOf({ label, low, average, high }) {
  const rows = [
    [null, t("column.highest"), high],
    ["--accent", t("column.average"), average],
    [null, t("column.lowest"), low],
  ];
  const shown = rows.filter(([variable, , value]) => variable || value !== null);
  return tip(`${label} UTC`, shown.map(([variable, name, value]) => [variable, name, rating(value)]));
}
