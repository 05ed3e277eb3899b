/** What is chosen in the header: time range, genre, whether the range follows the stream. */

import { get } from "./api.js";
import { element, setOptions, setText } from "./dom.js";
import { between, t } from "./i18n.js";
import * as state from "./state.js";

const GENRES = 200;

export class Controls {
  #form = document.getElementById("controls");
  #radios = new Map();
  #custom;
  #since = element("input", { type: "datetime-local", id: "since", step: "60" });
  #until = element("input", { type: "datetime-local", id: "until", step: "60" });
  #wrong = element("p", { class: "wrong", role: "alert", hidden: true });
  #genre = element("select", { id: "genre" });
  #follow = element("input", { type: "checkbox", id: "follow" });
  #shown = element("p", { class: "shown", id: "shown" });
  #genres = [];

  constructor() {
    this.#custom = this.#fromTo();
    this.#genre.addEventListener("change", () => state.change({ genre: this.#genre.value }));
    this.#follow.addEventListener("change", () => state.change({ anchor: this.#follow.checked ? "stream" : "now" }));
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#form.setAttribute("aria-label", t("controls.title"));
    this.#form.replaceChildren(
      this.#ranges(),
      this.#custom,
      element("label", { class: "field" }, t("controls.genre"), this.#genre),
      element("label", { class: "check", title: t("controls.follow.hint") }, this.#follow, t("controls.follow")),
      this.#shown,
    );
    this.#form.hidden = false;
    this.show();
  }

  /** Shows what the state says. */
  show() {
    const { last, anchor, since, until } = state.now();
    const custom = state.isCustom();
    for (const [name, radio] of this.#radios) radio.checked = !custom && name === last;
    this.#follow.checked = anchor === "stream";
    this.#follow.disabled = custom || last === "all";
    this.#since.value = since && new Date(since).toISOString().slice(0, 16);
    this.#until.value = until && new Date(until).toISOString().slice(0, 16);
    this.#say(state.addressFault());
    if (!custom) this.#custom.open = Boolean(state.addressFault());
    this.#custom.classList.toggle("chosen", custom);
    this.#showGenres();
  }

  #showGenres() {
    const { genre } = state.now();
    const known = this.#genres.some(({ slug }) => slug === genre) ? [] : [{ slug: genre, genre }];
    const all = [...this.#genres, ...(genre ? known : [])];
    setOptions(this.#genre, [["", t("controls.all_genres")], ...all.map(optionOf)], genre);
  }

  /** Says the range that the server has answered for. */
  told({ since, until }) {
    setText(this.#shown, between(since, until));
  }

  /** Asks which genres there are. */
  async loadGenres() {
    const { items } = await get("/genres", { last: "all", limit: GENRES });
    const named = items.filter(({ genre, slug }) => genre && slug); // documents of older versions may lack one
    this.#genres = named.sort((a, b) => a.genre.localeCompare(b.genre));
    this.#showGenres(); // and nothing else: the reader may be writing in the other fields
  }

  #ranges() {
    const box = element("div", { class: "ranges" });
    for (const name of state.RANGES) {
      const radio = element("input", { type: "radio", name: "last", value: name });
      radio.addEventListener("change", () => state.change({ last: name, since: "", until: "" }));
      this.#radios.set(name, radio);
      box.append(element("label", { title: t(`range.${name}.long`) }, radio, element("span", {}, t(`range.${name}`))));
    }
    return element("fieldset", {}, element("legend", { class: "hidden" }, t("controls.range")), box);
  }

  #fromTo() {
    const apply = element("button", { type: "submit", class: "primary", id: "apply" }, t("controls.apply"));
    apply.addEventListener("click", () => this.#apply());
    return element(
      "details",
      { class: "custom" },
      element("summary", {}, t("controls.custom")),
      element(
        "div",
        { class: "row" },
        element("label", {}, t("controls.since"), this.#since),
        element("label", {}, t("controls.until"), this.#until),
        apply,
        this.#wrong,
      ),
    );
  }

  /** Both fields are in UTC, as all times of the page; either may be left empty. */
  #apply() {
    const read = (field) => field.value && `${field.value.slice(0, 16)}:00Z`;
    const [since, until] = [read(this.#since), read(this.#until)];
    const wrong = this.#faultOf(since, until);
    this.#say(wrong);
    if (!wrong) state.change({ since, until });
  }

  #faultOf(since, until) {
    if (this.#since.validity.badInput || this.#until.validity.badInput) return "controls.no_time"; // filled in half
    return !since && !until ? "controls.one_of_both" : state.faultOf({ since, until });
  }

  /** Says what is wrong with the range, under a key; nothing without one. */
  #say(wrong) {
    this.#wrong.hidden = !wrong;
    setText(this.#wrong, wrong && t(wrong));
  }
}

/** One that the API refuses is there, for it has views, and says why it cannot be chosen. */
function optionOf({ slug, genre }) {
  if (state.isAskable(slug)) return [slug, genre];
  return [slug, t("controls.genre.refused", { genre }), t("controls.genre.refused.why")];
}
