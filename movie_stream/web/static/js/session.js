/** Asking for the token where the server wants one. */

import { get, isFromOutside, login, logout, onlyFromOutside, Problem, traffic } from "./api.js";
import { element, setText, withCode } from "./dom.js";
import { t } from "./i18n.js";

const dialog = document.getElementById("login");
const leave = document.getElementById("logout");
let waiting = null;

/** Returns once the reader may ask; shows the dialog until then. Throws what `get` throws. */
export async function admitted() {
  const { required, authenticated } = await get("/session");
  leave.hidden = !(required && authenticated);
  if (required && !authenticated) await prompted();
}

/** Shows the dialog until a token was right. */
function prompted() {
  waiting ??= new Promise((resolve) => show(resolve)).finally(() => (waiting = null));
  return waiting;
}

function show(resolve) {
  const token = element("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
  const error = element("p", { class: "error", role: "alert", id: "login-error" });
  token.setAttribute("aria-describedby", "login-error");
  const button = element("button", { type: "submit", class: "primary" }, t("login.enter"));
  const form = element(
    "form",
    { method: "dialog" },
    element("h2", { id: "login-title" }, t("login.title")),
    element("p", {}, ...withCode(t("login.why"))),
    element("input", { autocomplete: "username", value: "movie-stream", hidden: true }), // what password managers ask for
    element("label", {}, t("login.token"), token),
    error,
    button,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    setText(error, "");
    try {
      await login(token.value.trim());
      leave.hidden = false;
      dialog.close();
      resolve();
    } catch (problem) {
      setText(error, t(reasonOf(problem)));
      token.select();
      if (!isFromOutside(problem)) throw problem;
    } finally {
      button.disabled = false;
    }
  });
  dialog.replaceChildren(form);
  if (!dialog.open) dialog.showModal();
  token.focus();
}

function reasonOf(problem) {
  if (!isFromOutside(problem)) return "login.failed";
  if (!(problem instanceof Problem)) return "error.unreachable";
  if (problem.status === 429) return "login.too_often";
  return problem.status === 401 || problem.status === 422 || problem.status === 403 ? "login.wrong" : "login.failed";
}

dialog.addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it to go back to

/** Calls `lost` when an answer says that the reader is not logged in any more, or has logged out. */
export function onLoss(lost) {
  traffic.addEventListener("unauthorized", () => !dialog.open && lost());
  leave.addEventListener("click", async () => {
    try {
      await logout();
    } catch (error) {
      return onlyFromOutside(error); // the reader is still logged in, and the header says what is wrong
    }
    lost();
  });
}
