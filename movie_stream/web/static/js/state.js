/** What the page shows, which is what stands in its address: range, genre, hour, day, theme, language. */

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
  day: (value) => /^\d{4}-\d{2}-\d{2}$/.test(value) && isTime(value),
  genre: (value) => value.length <= 256 && isAskable(value),
  theme: (value) => ["auto", "light", "dark"].includes(value),
  lang: (value) => ["en", "fr"].includes(value),
};
/** What belongs to the reader and not to the figures: it makes no new entry in the browser's history. */
const PREFERENCES = new Set(["theme", "lang"]);

/** Whether the API takes a genre's name as a parameter: operators of the database and control characters it refuses. */
export function isAskable(genre) {
  return !/[$\u0000-\u001f\u007f]/.test(genre) && genre.isWellFormed();
}

function isTime(value) {
  return /^\d{4}-/.test(value) && !Number.isNaN(Date.parse(value));
}

/** The state that an address says; what it says wrongly is left out. */
function parsed(search) {
  const state = { ...DEFAULTS };
  for (const [name, value] of new URLSearchParams(search)) {
    if (name in ALLOWED && ALLOWED[name](value)) state[name] = value;
  }
  return state;
}

/** The address's part for a state: what is not the default, in a fixed order. */
export function written(state) {
  const told = Object.keys(DEFAULTS).filter((name) => state[name] !== DEFAULTS[name]);
  const search = new URLSearchParams(told.map((name) => [name, state[name]])).toString();
  return search ? `?${search}` : location.pathname;
}

let state = parsed(location.search);
const listeners = new Set();

export const now = () => state;

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
  if (names.every((name) => PREFERENCES.has(name))) history.replaceState(null, "", written(state));
  else history.pushState(null, "", written(state));
  tell(names);
}

addEventListener("popstate", () => {
  const before = state;
  state = parsed(location.search);
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
