/** Records that the running workers have refused, by reason. */

import { number, t } from "../i18n.js";

export const deadLetters = {
  name: "dead_letters",
  size: "short",
  sources: ["_workers"],
  follows: [],
  question: () => ["/dead-letters"],
  subtitle: ({ total }) => t("dead_letters.total", { n: total }),
  empty: ({ items }) => (items.length ? null : "empty.dead_letters"),
  columns: () => [
    { label: t("column.reason"), kind: "name", cell: (row) => row.reason },
    { label: t("column.records"), kind: "number", cell: (row) => number(row.count), share: (row) => row.count / row.most },
  ],
  rows: ({ items }) => items.map((item) => ({ ...item, most: Math.max(...items.map(({ count }) => count), 1) })),
};
