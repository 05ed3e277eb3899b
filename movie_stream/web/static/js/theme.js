/** Light or dark, and the colours of the style sheet for what is drawn. */

const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();
const kept = new Map();

/** Sets the theme: "light", "dark", or "auto" for what the system says. */
export function set(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  changed();
}

export function onChange(listener) {
  listeners.add(listener);
}

dark.addEventListener("change", changed);

function changed() {
  kept.clear();
  for (const listener of listeners) listener();
}

/** The colour that a variable such as "--accent" has in the theme of now, as rgb(). */
export function colour(variable) {
  if (!kept.has(variable)) {
    const probe = document.createElement("span");
    probe.style.color = `var(${variable})`;
    document.body.append(probe);
    kept.set(variable, getComputedStyle(probe).color);
    probe.remove();
  }
  return kept.get(variable);
}

/** The same, so much of it seen: 0 to 1. */
export function tint(variable, opacity) {
  return colour(variable).replace(/^rgba?\((\d+), (\d+), (\d+).*$/, `rgba($1, $2, $3, ${opacity})`);
}
