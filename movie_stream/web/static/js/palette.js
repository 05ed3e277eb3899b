/** Which genre has which colour: the same in all panels, and the same for as long as the page is open. */

export const COLOURS = 7;

const OTHER = "--series-other";
const given = new Map();
const listeners = [];

/**
 * Gives the first of these slugs (the largest first) a colour each; who has one keeps it, and who is no longer among
 * them gives it back.
 */
export function assign(slugs) {
  const wanted = slugs.slice(0, COLOURS);
  const before = [...given.keys()].sort().join("\n");
  for (const slug of given.keys()) if (!wanted.includes(slug)) given.delete(slug);
  const free = [...Array(COLOURS).keys()].filter((slot) => ![...given.values()].includes(slot));
  for (const slug of wanted) if (!given.has(slug)) given.set(slug, free.shift());
  if ([...given.keys()].sort().join("\n") !== before) queueMicrotask(() => listeners.forEach((listener) => listener()));
}

/** Whether any genre has a colour yet. */
export const isEmpty = () => given.size === 0;

/** Calls back after colours were given to others. */
export function onChange(listener) {
  listeners.push(listener);
}

/** The variable of a genre's colour; a shared grey for genres that have none. */
export const colourOf = (slug) => (given.has(slug) ? `--series-${given.get(slug) + 1}` : OTHER);

/** Where a genre stands among those that have colours, so that layers keep their order. */
export const slotOf = (slug) => given.get(slug) ?? COLOURS;
