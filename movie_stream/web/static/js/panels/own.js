/**
 * A panel for each result that no other panel is about, which is how a result that somebody adds to RESULTS appears
 * here: its newest rows, with the names and kinds of fields that the server's index says.
 */

import { moment, number, rating, t } from "../i18n.js";
import { allGenres, state } from "../panel.js";

const LIMIT = 100;
/** Lists of longer windows, for programs; the panel of films has those of hours. */
const FOR_PROGRAMS = ["top_movies_daily", "top_movies_all_time"];
const KINDS = {
  time: { kind: "when", write: moment },
  count: { kind: "number", write: number },
  number: { kind: "number", write: rating },
  text: { kind: "text", write: (value) => value ?? "–" },
};

/** The plans of panels for those of the index's results that `plans` do not show. */
export function ownPlans(results, plans) {
  const shown = new Set([...FOR_PROGRAMS, ...plans.flatMap(({ sources }) => sources)]);
  const byName = new Map(results.map((result) => [result.name, result]));
  const flat = new Set(results.filter(({ entries }) => entries).map(({ name }) => `${name}_flat`));
  return results
    .filter(({ name }) => !shown.has(name) && !flat.has(name))
    .map((result) => planOf(result, result.entries ? byName.get(`${result.name}_flat`) : result));
}

/** The panel of a result, whose rows are those of `table`: the result itself, or its lists as rows. */
function planOf(result, table) {
  const byGenre = result.by === "genre";
  return {
    name: `own-${result.name}`,
    title: () => result.name,
    size: "full short",
    sources: [result.name],
    follows: ["genre"],
    question: () => [`/${table.name}`, { limit: LIMIT, ...(byGenre && { genre: state.now().genre }) }],
    subtitle: ({ next }) => [next ? t("own.newest", { n: LIMIT }) : t("own.all"), !byGenre && allGenres()].filter(Boolean).join(" · "),
    empty: ({ items }) => (items.length ? null : "empty.own"),
    columns: () => table.fields.filter(({ name }) => name !== "slug").map(columnOf),
    rows: ({ items }) => items,
  };
}

function columnOf({ name, kind: kindOf }) {
  const { kind, write } = KINDS[kindOf];
  return { label: name, kind, cell: (row) => write(row[name]) };
}
