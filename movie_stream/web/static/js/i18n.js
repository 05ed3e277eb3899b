/** Words, numbers and times in the reader's language. The words stand in i18n/, in a file for each. */

import { file } from "./api.js";

/** The tags of all that there are. */
export const LANGUAGES = ["en", "fr"];

let language = "en";
let words = {};
let formats = {};

/** Loads a language's words; until then `t` answers with the keys. Throws Problem or Unreachable. */
export async function load(wanted) {
  words = await file(`i18n/${wanted}.json`);
  language = wanted;
  formats = formatsOf(wanted === "en" ? "en-GB" : wanted);
  document.documentElement.lang = wanted;
}

export const current = () => language;

/** The language that the browser asks for, of those that there are. */
export function preferred() {
  const asked = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return asked.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

/**
 * The words under a key, with {name} replaced by values.name. Words that depend on a number are {"one": ..., "other":
 * ...} and are chosen by values.n, which is written as a number of the language.
 */
export function t(key, values = {}) {
  let text = words[key];
  if (text === undefined) return key;
  if (typeof text === "object") text = text[formats.plural.select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : value;
  });
}

function formatsOf(tag) {
  const utc = { timeZone: "UTC" };
  const date = { day: "numeric", month: "short", year: "numeric" };
  const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return {
    plural: new Intl.PluralRules(tag),
    whole: new Intl.NumberFormat(tag, { maximumFractionDigits: 0 }),
    two: new Intl.NumberFormat(tag, { minimumFractionDigits: 2, maximumFractionDigits: 2 }),
    one: new Intl.NumberFormat(tag, { minimumFractionDigits: 0, maximumFractionDigits: 1 }),
    percent: new Intl.NumberFormat(tag, { style: "percent", maximumFractionDigits: 1 }),
    permyriad: new Intl.NumberFormat(tag, { style: "percent", maximumFractionDigits: 2 }),
    compact: new Intl.NumberFormat(tag, { notation: "compact", maximumFractionDigits: 1 }),
    moment: new Intl.DateTimeFormat(tag, { ...date, ...time, ...utc }),
    day: new Intl.DateTimeFormat(tag, { ...date, ...utc }),
    shortDay: new Intl.DateTimeFormat(tag, { day: "numeric", month: "short", ...utc }),
    time: new Intl.DateTimeFormat(tag, { ...time, ...utc }),
    clock: new Intl.DateTimeFormat(tag, { ...time, second: "2-digit", ...utc }),
    weekday: new Intl.DateTimeFormat(tag, { weekday: "short", ...utc }),
    longWeekday: new Intl.DateTimeFormat(tag, { weekday: "long", ...utc }),
  };
}

const known = (value) => value !== null && value !== undefined;

/** What stands where a figure does not exist. */
const NONE = "–";

export const number = (value) => (known(value) ? formats.whole.format(value) : NONE);
/** With a tenth where that says something. */
export const tenths = (value) => (Math.abs(value) < 100 && known(value) ? formats.one.format(value) : number(value));
export const rating = (value) => (known(value) ? formats.two.format(value) : NONE);
/** A share of a whole in per cent, with more digits where it is small; of nothing there is none. */
export function percent(part, whole) {
  if (!known(part) || !whole) return NONE;
  const share = part / whole;
  return (share < 0.1 ? formats.permyriad : formats.percent).format(share);
}
/** 1234567 as 1.2M, for axes. */
export const compact = (value) => formats.compact.format(value);

/** A time as date and minute, in UTC. */
export const moment = (iso) => (known(iso) ? formats.moment.format(new Date(iso)) : NONE);
/** The minute alone, in UTC. */
export const time = (iso) => (known(iso) ? formats.time.format(new Date(iso)) : NONE);
/** A day; from YYYY-MM-DD or a time, in UTC. */
export const day = (iso) => (known(iso) ? formats.day.format(new Date(iso)) : NONE);
export const shortDay = (iso) => formats.shortDay.format(new Date(iso));
/** This very second, in UTC. */
export const clock = () => formats.clock.format(new Date());

/** A weekday's name, 0 for Monday. */
export const weekday = (index) => formats.weekday.format(new Date(Date.UTC(2024, 0, 1 + index)));
export const longWeekday = (index) => formats.longWeekday.format(new Date(Date.UTC(2024, 0, 1 + index)));

/** A time span: below ten seconds in milliseconds or seconds, above in seconds, minutes and so on. */
export function span(milliseconds) {
  if (!known(milliseconds)) return NONE;
  if (milliseconds < 0) return `−${span(-milliseconds)}`;
  if (milliseconds < 1000) return `${number(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 120) return `${tenths(seconds)} s`;
  if (seconds < 7200) return `${number(seconds / 60)} min`;
  if (seconds < 172_800) return `${number(seconds / 3600)} h`;
  return t("span.days", { n: Math.round(seconds / 86_400) });
}

/** Two times as "from – to", with the date once where both are of one day. */
export function between(since, until) {
  if (!since && !until) return t("range.everything");
  if (!since) return t("range.until", { until: moment(until) });
  if (!until) return t("range.since", { since: moment(since) });
  const one = day(since) === day(until);
  return `${moment(since)} – ${one ? time(until) : moment(until)} UTC`;
}
