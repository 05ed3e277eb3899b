/** Views over time, in layers by genre; dragging over it zooms into that time. */

import { brush } from "../brush.js";
import { axes, swatch, tip, tooltip } from "../chart.js";
import { element, setText } from "../dom.js";
import { fillingOf, startOf } from "../filling.js";
import { between, number, t } from "../i18n.js";
import { assign, COLOURS, colourOf, slotOf } from "../palette.js";
import { genreName, state } from "../panel.js";
import { colour, tint } from "../theme.js";

const POINTS = 500;

export const views = {
  name: "views",
  size: "wide",
  chart: "tall",
  sources: ["movies_aggregates", "hourly_metrics", "daily_stats"],
  follows: ["last", "anchor", "since", "until", "genre"],
  question: () => ["/series", { ...state.range(), genre: state.now().genre, points: POINTS }],
  subtitle: (data) => `${between(data.since, data.until)} · ${t(`resolution.${data.resolution}`)}`,
  empty: (data) => (data.views.some((count) => count > 0) ? null : "empty.range"),
  columns: () => [
    { label: t("column.start"), cell: (row) => row.start },
    { label: t("column.genre"), kind: "name", cell: (row) => genreName(row.genre) },
    { label: t("column.views"), kind: "number", cell: (row) => number(row.views) },
  ],
  rows,
  setUp,
  draw,
};

/** A row for each genre and time that has views, newest first. */
function rows(data) {
  return data.times
    .flatMap((_, index) => data.genres.map(({ genre, views: counts }) => ({ index, genre, views: counts[index] })))
    .filter((row) => row.views > 0)
    .map((row) => ({ ...row, start: startOf(data, row.index) }))
    .reverse();
}

function setUp(panel) {
  panel.legend = element("ul", { class: "legend" });
  panel.content.prepend(panel.legend);
  panel.back = element("button", { type: "button", class: "back", hidden: true }, t("views.back"));
  panel.back.addEventListener("click", () => state.change({ since: "", until: "" }));
  panel.actions.prepend(panel.back);
  panel.picture.picture.whenReady((chart) => brush(panel.picture.place, chart, (from, to) => zoom(panel.data, from, to)));
}

/** Shows from the beginning of the first bucket that was touched to the end of the last. */
function zoom({ times, step_s: step }, from, to) {
  const starts = times.map(Date.parse);
  const first = starts.findLast((start) => start <= from) ?? starts[0];
  const last = starts.findLast((start) => start <= to) ?? starts[0];
  const iso = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");
  state.change({ since: iso(first), until: iso(last + step * 1000) });
}

/** The largest genres in their order of colours, and above them all others as one layer; a genre alone as it is. */
function layersOf({ genres, times }) {
  if (genres.length <= 1) return genres;
  if (!state.now().genre) assign(genres.filter(({ slug }) => slug !== null).map(({ slug }) => slug));
  const own = genres.filter(({ slug }) => slotOf(slug) < COLOURS);
  const rest = genres.filter((genre) => !own.includes(genre));
  own.sort((a, b) => slotOf(a.slug) - slotOf(b.slug));
  if (!rest.length) return own;
  const sums = times.map((_, index) => rest.reduce((sum, genre) => sum + genre.views[index], 0));
  return [...own, { genre: null, slug: null, views: sums }];
}

function draw(picture, data, panel) {
  const layers = layersOf(data);
  const starts = data.times.map(Date.parse);
  panel.back.hidden = !state.isCustom();
  const filling = fillingOf(data);
  legend(panel.legend, layers, filling > 0);
  const total = data.views.reduce((sum, count) => sum + count, 0);
  const names = layers.map(({ genre }) => genreName(genre)).join(", ");
  picture.draw(
    {
      ...axes({ x: { type: "time" }, y: { type: "value", minInterval: 1 } }),
      tooltip: tooltip((points) => tipOf(data, layers, points[0].dataIndex)),
      series: [
        ...layers.map((layer) => seriesOf(layer, starts, filling > 0 ? filling : starts.length)),
        ...(filling > 0 ? layers.map((layer) => soFarOf(layer, starts, filling)) : []),
      ],
    },
    t("views.described", { total, range: between(data.since, data.until), names }),
  );
}

/** A layer up to before a bucket. */
function seriesOf({ genre, slug, views: counts }, starts, end) {
  return {
    id: slug ?? " others",
    name: genreName(genre),
    type: "line",
    stack: "views",
    showSymbol: starts.length === 1,
    symbolSize: 8,
    lineStyle: { width: 1.2, color: colour(colourOf(slug)) },
    itemStyle: { color: colour(colourOf(slug)) },
    areaStyle: { color: tint(colourOf(slug), 0.72) },
    emphasis: { disabled: true },
    data: counts.map((count, index) => [starts[index], index < end ? count : null]),
  };
}

/** The same from the last whole bucket to the one that is filling: it falls because it is not over, and looks like it. */
function soFarOf(layer, starts, filling) {
  const series = seriesOf(layer, starts, starts.length);
  return {
    ...series,
    id: `${series.id} so far`,
    stack: "so far",
    lineStyle: { ...series.lineStyle, type: [3, 3] },
    areaStyle: { color: tint(colourOf(layer.slug), 0.2) },
    data: series.data.map(([start, count], index) => [start, index < filling - 1 ? null : count]),
  };
}

function tipOf(data, layers, index) {
  const rows = layers
    .filter((layer) => layer.views[index] > 0)
    .map(({ genre, slug, views: counts }) => [colourOf(slug), genreName(genre), number(counts[index])])
    .reverse();
  return tip(`${startOf(data, index)} UTC`, [...rows, [null, t("total"), number(data.views[index])]]);
}

function legend(list, layers, soFar) {
  const names = [soFar, ...layers.map(({ slug, genre }) => `${colourOf(slug)} ${genreName(genre)}`)].join("\n");
  if (list.dataset.names === names) return;
  list.dataset.names = names;
  list.replaceChildren();
  for (const { slug, genre } of layers) {
    const name = element("span");
    setText(name, genreName(genre));
    list.append(element("li", {}, swatch(colourOf(slug)), name));
  }
  if (soFar) list.append(element("li", { class: "so-far" }, t("so_far")));
}
