/** The ten genres with most views; choosing one shows it alone. */

import { axes, tip, tooltip } from "../chart.js";
import { number, rating, t } from "../i18n.js";
import { assign, colourOf, isEmpty } from "../palette.js";
import { nothingIn, state } from "../panel.js";
import { colour } from "../theme.js";

export const genres = {
  name: "genres",
  size: "narrow",
  chart: "tall",
  sources: ["movies_aggregates", "hourly_metrics", "daily_stats", "category_stats"],
  follows: ["last", "anchor", "since", "until", "genre"],
  question: () => ["/genres", { ...state.range(), limit: 10 }],
  empty: ({ items }) => nothingIn(items),
  columns: () => [
    { label: t("column.genre"), kind: "name", cell: nameOf, act: choose, can: canChoose, title },
    { label: t("column.views"), kind: "number", cell: (row) => number(row.views) },
    { label: t("column.rating"), kind: "number", cell: (row) => rating(row.avg_rating) },
    { label: t("column.users"), kind: "number", cell: (row) => number(row.unique_users) },
  ],
  rows: ({ items }) => items,
  setUp,
  draw,
};

/** Its name; documents of older versions may lack it. */
const nameOf = ({ genre, slug }) => genre ?? slug ?? "?";

const canChoose = ({ slug }) => Boolean(slug) && state.isAskable(slug);
const title = (row) => (canChoose(row) ? t("genres.choose") : t("controls.genre.refused.why"));

/** Shows a genre alone, or all again. */
function choose(row) {
  const { slug } = row;
  if (canChoose(row)) state.change({ genre: state.now().genre === slug ? "" : slug });
}

function setUp(panel) {
  panel.picture.picture.whenReady((chart) => chart.on("click", ({ dataIndex }) => choose(panel.data.items[dataIndex])));
}

function draw(picture, { items }) {
  const chosen = state.now().genre;
  if (chosen || isEmpty()) assign(items.map(({ slug }) => slug)); // else the views over time say who has which
  const bars = items.map(({ slug, views }) => ({
    value: views,
    itemStyle: { color: colour(colourOf(slug)), opacity: chosen && chosen !== slug ? 0.35 : 1 },
  }));
  picture.draw(
    {
      ...axes({
        grid: { right: 48, top: 0 },
        x: { type: "value", show: false },
        y: { type: "category", inverse: true, data: items.map(nameOf) },
      }),
      ...names(items),
      tooltip: tooltip(([point]) => tipOf(items[point.dataIndex]), { pointer: "shadow" }),
      series: [
        {
          id: "views",
          type: "bar",
          data: bars,
          barMaxWidth: 20,
          barCategoryGap: "28%",
          itemStyle: { borderRadius: [0, 4, 4, 0] },
          emphasis: { disabled: true },
          label: { show: true, position: "right", color: colour("--muted"), formatter: ({ value }) => number(value) },
        },
      ],
    },
    t("genres.described", { names: items.map((item) => `${nameOf(item)} ${number(item.views)}`).join(", ") }),
  );
}

function names(items) {
  const { yAxis } = axes({ y: { type: "category", inverse: true, data: items.map(nameOf) } });
  const label = { color: colour("--text"), fontSize: 12, width: 96, overflow: "truncate", formatter: (name) => name };
  return { yAxis: { ...yAxis, axisLabel: { ...yAxis.axisLabel, ...label } } };
}

function tipOf(item) {
  return tip(nameOf(item), [
    [null, t("column.views"), number(item.views)],
    [null, t("column.rating"), rating(item.avg_rating)],
  ]);
}
