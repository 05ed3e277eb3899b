/** The last line: version, database, and where the figures are to be had for programs. */

import { element } from "./dom.js";
import { t } from "./i18n.js";

/** `about` is what `/api/v1` answers. */
export function footer(about) {
  document.getElementById("footer").replaceChildren(
    element("span", {}, `movie-stream ${about.version}`),
    element("span", {}, t("footer.database", { name: about.database })),
    element("span", {}, t("footer.utc")),
    element("a", { href: "/api/v1/openapi.json" }, t("footer.api")),
  );
}
