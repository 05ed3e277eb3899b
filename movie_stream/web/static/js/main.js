/**
 * The page. Read on in this order: state.js (what is shown, which stands in the address), api.js, live.js (what has
 * changed), refresh.js (when a panel asks again), panel.js, and panels/views.js as an example of one.
 */

import { get, onlyFromOutside } from "./api.js";
import { Controls } from "./controls.js";
import { setText } from "./dom.js";
import { streamReached } from "./filling.js";
import { footer } from "./footer.js";
import * as i18n from "./i18n.js";
import { Live } from "./live.js";
import * as notices from "./notices.js";
import { Panel } from "./panel.js";
import { activity } from "./panels/activity.js";
import { alerts } from "./panels/alerts.js";
import { audience } from "./panels/audience.js";
import { deadLetters } from "./panels/dead_letters.js";
import { films } from "./panels/films.js";
import { genres } from "./panels/genres.js";
import { ownPlans } from "./panels/own.js";
import { quality } from "./panels/quality.js";
import { ratings } from "./panels/ratings.js";
import { users } from "./panels/users.js";
import { views } from "./panels/views.js";
import { workers } from "./panels/workers.js";
import * as palette from "./palette.js";
import * as session from "./session.js";
import * as state from "./state.js";
import * as theme from "./theme.js";
import { Tiles } from "./tiles.js";

const PANELS = [views, genres, films, ratings, activity, audience, quality, alerts, users, deadLetters, workers];
const BEAT_MS = 2000; // how often figures of the workers are asked for, which nothing announces
const SLIDE_MS = 30_000; // how often a range that ends now is asked for again
const GENRES_MS = 10_000;

const byId = (id) => document.getElementById(id);
const live = new Live();
const seen = new IntersectionObserver(watch, { rootMargin: "300px" });
let plans = PANELS; // and those of results that the server's index names besides
let about = null; // the index
let panels = [];
let parts = []; // the tiles, and the panels after them
let byRoot = new Map();
let controls = null;
let genresAsked = 0;
let starting = false;

/** Makes everything that has words in it; again when the language changes. */
async function build() {
  await i18n.load(state.now().lang || i18n.preferred());
  for (const node of document.querySelectorAll("[data-i18n]")) setText(node, i18n.t(node.dataset.i18n));
  for (const part of parts) part.dispose();
  seen.disconnect();
  notices.clear();
  controls = new Controls();
  byId("language").value = i18n.current();
  const tiles = new Tiles(summarised);
  panels = [];
  parts = [tiles];
  byRoot = new Map([[tiles.root, tiles]]);
  byId("tiles").replaceChildren(tiles.root);
  byId("panels").replaceChildren();
  plans.forEach(add);
  showState();
}

function add(plan) {
  const panel = new Panel(plan);
  panels.push(panel);
  parts.push(panel);
  byRoot.set(panel.root, panel);
  byId("panels").append(panel.root);
}

/** Adds the panels of results that only the server knows of. */
function addOwn() {
  const unknown = ownPlans(about.results, plans);
  plans = [...plans, ...unknown];
  unknown.forEach(add);
  showState();
}

/** Lets the parts ask; each panel does so when it is seen, the tiles always: their answer has the header's range. */
function begin() {
  parts[0].refresh.visible = true;
  for (const { root } of panels) seen.observe(root);
  askGenres();
  if (about) footer(about);
}

function watch(entries) {
  for (const { target, isIntersecting } of entries) byRoot.get(target).refresh.visible = isIntersecting;
}

function summarised(answer) {
  streamReached(answer.stream_time);
  controls.told(answer);
  notices.summarised(answer);
  setText(byId("updated"), i18n.t("updated", { time: i18n.clock() }));
}

function askGenres() {
  genresAsked = performance.now();
  controls.loadGenres().catch(onlyFromOutside); // the panels say what is wrong
}

/** Touches the parts that show one of these collections; without any, all. */
function touch(collections = null) {
  for (const { refresh, sources } of parts) {
    if (!collections || sources.some((name) => collections.has(name))) refresh.touch();
  }
  const known = collections ? collections.has("category_stats") : true;
  if (known && performance.now() - genresAsked > GENRES_MS) askGenres();
}

function showState() {
  const name = live.state === "live" && live.mongodb === "down" ? "mongodb" : live.state;
  byId("status").dataset.state = name;
  setText(byId("status"), i18n.t(`status.${name}`));
  byId("pause").hidden = false;
  setText(byId("pause"), live.paused ? i18n.t("resume") : i18n.t("pause"));
  notices.away({ server: name === "reconnecting", mongodb: live.mongodb === "down" });
  byId("main").dataset.state = name;
  for (const panel of panels) panel.mongodbAway = live.mongodb === "down";
  for (const part of parts) part.refresh.live = live.state === "live" || live.state === "connecting";
}

function every(milliseconds, act) {
  setInterval(() => live.state === "live" && act(), milliseconds);
}

async function changed(names) {
  if (names.has("theme")) showTheme();
  if (names.has("lang")) {
    try {
      await build();
      begin();
    } catch (error) {
      byId("language").value = i18n.current();
      onlyFromOutside(error);
    }
    return;
  }
  controls.show();
  for (const panel of panels) panel.caption();
  for (const part of parts) if (part.dependsOn(names)) part.refresh.restart();
}

function showTheme() {
  byId("theme").value = state.now().theme;
  theme.set(state.now().theme);
}

/** Begins as soon as the server answers and the reader is logged in; what is asked for meanwhile is one beginning. */
async function start() {
  if (starting) return;
  starting = true;
  try {
    await session.admitted();
    about = await get("");
    addOwn();
    begin();
    live.start();
  } catch (error) {
    live.unreachable();
    onlyFromOutside(error);
    setTimeout(start, 2000);
  } finally {
    starting = false;
  }
}

/** The reader is not logged in any more. */
function locked() {
  if (starting) return;
  live.stop();
  seen.disconnect();
  for (const { refresh } of parts) refresh.visible = false;
  start();
}

live.addEventListener("state", showState);
live.addEventListener("changes", ({ detail }) => touch(detail));
live.addEventListener("everything", () => touch());
session.onLoss(locked);
state.onChange(changed);
const redraw = () => panels.forEach((panel) => panel.redraw());
theme.onChange(redraw);
palette.onChange(redraw);
byId("theme").addEventListener("change", ({ target }) => state.change({ theme: target.value }));
byId("language").addEventListener("change", ({ target }) => state.change({ lang: target.value }));
byId("pause").addEventListener("click", () => live.pause(!live.paused));
every(BEAT_MS, () => touch(new Set(["_workers"])));
every(SLIDE_MS, () => state.now().anchor === "now" && touch());

showTheme();
await build();
await start();
