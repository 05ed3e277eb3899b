/** The workers, and the partitions that each of them has, with what is still to be read. */

import { moment, number, span, t } from "../i18n.js";

export const workers = {
  name: "workers",
  size: "full short",
  sources: ["_workers"],
  follows: [],
  question: () => ["/workers"],
  subtitle: ({ items }) => t("workers.total", { n: items.length }),
  empty: ({ items }) => (items.length ? null : "empty.workers"),
  columns: () => [
    { label: t("column.worker"), kind: "name", cell: (row) => row.worker },
    { label: t("column.state"), cell: (row) => row.says, state: (row) => `state ${row.silent ? "silent" : ""}`.trim() },
    { label: t("column.partition"), cell: (row) => row.partition },
    { label: t("column.position"), kind: "number", cell: (row) => number(row.position) },
    { label: t("column.lag"), kind: "number", cell: (row) => number(row.lag), state: (row) => (row.lag > 0 ? "behind" : "") },
    { label: t("column.delay"), kind: "number", cell: (row) => span(row.delay_ms) },
    { label: t("column.seen"), kind: "number", cell: (row) => moment(row.seen) },
  ],
  rows: ({ items }) => items.flatMap(rowsOf),
};

const STATES = new Set(["starting", "running", "waiting for partitions", "stopping"]);

/** A row for each partition; the worker's own figures in the first. */
function rowsOf(worker) {
  const says = worker.silent ? t("state.silent") : STATES.has(worker.state) ? t(`state.${worker.state}`) : worker.state;
  const own = {
    worker: `${worker.host} · ${worker.pid}`,
    says: says ?? t("state.running"),
    silent: worker.silent,
    delay_ms: worker.delay_ms,
    seen: worker.seen,
  };
  if (!worker.partitions?.length) return [{ ...own, partition: t("workers.no_partition"), position: null, lag: worker.lag }];
  return worker.partitions.map(({ topic, partition, position, lag }) => ({
    ...own,
    partition: `${topic}/${partition}`,
    position,
    lag,
  }));
}
