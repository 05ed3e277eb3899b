/** What the page shows, which is what stands in its address: range, genre, hour, day, theme, language. */

import { LANGUAGES } from "./i18n.js";

export const RANGES = ["15min", "1h", "6h", "24h", "7d", "30d", "all"];

const DEFAULTS = {
  last: "24h", // the newest so much, unless since and until say another range
  anchor: "stream", // "stream": the range ends with the newest views; "now": it ends now
  since: "",
  until: "",
  genre: "", // its slug; empty for all
  hour: "", // which hour's films; empty for the newest
  day: "", // which day's users; empty for the newest
  theme: "auto",
  lang: "",
};
const ALLOWED = {
  last: (value) => RANGES.includes(value),
  anchor: (value) => value === "stream" || value === "now",
  since: isTime,
  until: isTime,
  hour: isTime,
  day: (value) => /^\d{4}-\d{2}-\d{2}$/.test(value) && isTime(`${value}T00:00:00Z`),
  genre: (value) => value.length <= 256 && isAskable(value),
  theme: (value) => ["auto", "light", "dark"].includes(value),
  lang: (value) => LANGUAGES.includes(value),
};
/** What belongs to the reader and not to the figures: it makes no new entry in the browser's history. */
const PREFERENCES = new Set(["theme", "lang"]);

/** Whether the API takes a genre's name as a parameter: operators of the database and control characters it refuses. */
export function isAskable(genre) {
  return !/[$\u0000-\u001f\u007f]/.test(genre) && genre.isWellFormed();
}

/** Whether the API reads it as a time: RFC 3339, of a day that exists. */
function isTime(value) {
  const [, date] = /^(\d{4}-\d\d-\d\d)T([01]\d|2[0-3])(:[0-5]\d){2}(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.exec(value) ?? [];
  if (!date || date.startsWith("0000") || Number.isNaN(Date.parse(value))) return false;
  return new Date(`${date}T00:00:00Z`).toISOString().startsWith(date); // the 31st of February is none
}

/** What is wrong with a range from since to until: the key of what to say to the reader, or "". */
export function faultOf({ since, until }) {
  return since && until && Date.parse(since) >= Date.parse(until) ? "controls.backwards" : "";
}

/**
 * The state that an address says, and what is wrong with the range in it: the key of what to say to the reader, or "".
 * A range that is wrong in a part is left out whole, and so is everything else that makes no sense.
 */
function parsed(search) {
  const state = { ...DEFAULTS };
  let fault = "";
  for (const [name, value] of new URLSearchParams(search)) {
    if (!(name in ALLOWED) || !value) continue;
    if (ALLOWED[name](value)) state[name] = value;
    else if (name === "last") fault ||= "controls.no_range";
    else if (name === "since" || name === "until") fault ||= "controls.no_time";
  }
  fault ||= faultOf(state);
  if (fault) Object.assign(state, { last: DEFAULTS.last, since: "", until: "" });
  return { state, fault };
}

/** The address's part for a state: what is not the default, in a fixed order; of the range, what is shown. */
export function written(state) {
  const unused = state.since || state.until ? ["last"] : [];
  const told = Object.keys(DEFAULTS).filter((name) => state[name] !== DEFAULTS[name] && !unused.includes(name));
  const search = new URLSearchParams(told.map((name) => [name, state[name]])).toString();
  return search ? `?${search}` : location.pathname;
}

let { state, fault } = read();
const listeners = new Set();

export const now = () => state;

/** What was wrong with the range in the address, until another is chosen: a key, or "". */
export const addressFault = () => fault;

/** Reads the address, and corrects it where it says what is not so. The history keeps which `last` comes back. */
function read() {
  const found = parsed(location.search);
  const kept = history.state?.last;
  if ((found.state.since || found.state.until) && RANGES.includes(kept)) found.state.last = kept;
  const said = (search) => [...new URLSearchParams(search)].map(String).sort().join("\n");
  const rightly = written(found.state);
  if (said(location.search) !== said(rightly.startsWith("?") ? rightly : "")) put("replaceState", found.state);
  return found;
}

function put(method, state) {
  history[method]({ last: state.last }, "", written(state));
}

/** Calls back with the names that have changed, now and then again. */
export function onChange(listener) {
  listeners.add(listener);
}

/** Changes the state and the address; what changes the figures can be taken back with the browser's back button. */
export function change(changes) {
  const before = state;
  state = { ...before, ...changes };
  const names = changed(before, state);
  if (!names.length) return;
  const preferred = names.every((name) => PREFERENCES.has(name));
  if (!preferred) fault = "";
  put(preferred ? "replaceState" : "pushState", state);
  tell(names);
}

addEventListener("popstate", () => {
  const before = state;
  ({ state, fault } = read());
  const names = changed(before, state);
  if (names.length) tell(names);
});

function changed(before, after) {
  return Object.keys(DEFAULTS).filter((name) => before[name] !== after[name]);
}

function tell(names) {
  for (const listener of listeners) listener(new Set(names), state);
}

/** Whether a range of the reader's own is shown, rather than the newest so much. */
export const isCustom = () => Boolean(state.since || state.until);

/** The parameters of the range; `days` widens it to at least so many, for figures that come once a day. */
export function range({ days = 0 } = {}) {
  const { since, until, last, anchor } = state;
  if (since || until) {
    const end = until ? Date.parse(until) : Date.now();
    const wide = new Date(Math.min(since ? Date.parse(since) : end, end - days * 86_400_000)).toISOString();
    return { ...(since && { since: days ? wide : since }), ...(until && { until }) };
  }
  return { last: days > daysOf(last) ? `${days}d` : last, anchor };
}

function daysOf(last) {
  if (last === "all") return Infinity;
  return last.endsWith("d") ? parseInt(last, 10) : last === "24h" ? 1 : 0;
}
