/** The last line: version, database, and where the figures are to be had for programs. */

import { get, onlyFromOutside } from "./api.js";
import { element } from "./dom.js";
import { t } from "./i18n.js";

export async function footer() {
  let about;
  try {
    about = await get("");
  } catch (error) {
    return onlyFromOutside(error); // the panels say what is wrong
  }
  document.getElementById("footer").replaceChildren(
    element("span", {}, `movie-stream ${about.version}`),
    element("span", {}, t("footer.database", { name: about.database })),
    element("span", {}, t("footer.utc")),
    element("a", { href: "/api/v1/openapi.json" }, t("footer.api")),
  );
}
