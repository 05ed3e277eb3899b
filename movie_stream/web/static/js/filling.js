/** Which buckets of a series are not whole yet, so that they hold less than those before them. */

import { moment, t } from "./i18n.js";

let reached = Infinity;

/** Tells how far the stream has come: the end of the newest minute window, null where there is none. */
export function streamReached(time) {
  reached = time === null ? Infinity : Date.parse(time);
}

/** The index of the last bucket where the stream, the range or the clock has not come to its end; otherwise -1. */
export function fillingOf({ times, step_s: step, until }) {
  const last = times.length - 1;
  const end = Date.parse(times[last]) + step * 1000;
  return end > Math.min(until ? Date.parse(until) : Infinity, reached, Date.now()) ? last : -1;
}

/** A bucket's beginning, and whether it is one of "so far". */
export function startOf(data, index) {
  const start = moment(data.times[index]);
  return index === fillingOf(data) ? `${start} (${t("so_far")})` : start;
}
