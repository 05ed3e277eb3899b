/** Questions to the server, and what can go wrong with them. */

const TIMEOUT_MS = 20_000;

/** The server has answered with a problem (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `${status}`);
    this.status = status;
  }
}

/** The server has not answered. */
export class Unreachable extends Error {}

/** Tells "failed" when an answer did not come, and "unauthorized" when the reader has to log in. */
export const traffic = new EventTarget();

/** Whether the server, or the way to it, is at fault; whatever else is thrown is a fault of this page. */
export const isFromOutside = (error) => error instanceof Problem || error instanceof Unreachable;

/** For a question whose failure others show: throws again what is a fault of this page. */
export function onlyFromOutside(error) {
  if (!isFromOutside(error)) throw error;
}

/**
 * Asks for `/api/v1` + path and returns the answer's JSON. The browser sends the ETag that it has, and hands over what
 * it has kept where the server says that nothing has changed.
 *
 * Throws Problem, Unreachable, or an AbortError if `signal` was aborted.
 */
export async function get(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "")).toString();
  return ask(`/api/v1${path}${query ? `?${query}` : ""}`, { signal });
}

/** Asks for one of the page's own files, in JSON; throws what `get` throws. */
export async function file(path) {
  return ask(`/static/${path}`, {});
}

/** Logs in; throws Problem where the token is wrong. */
export async function login(token) {
  return ask("/api/v1/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
}

export async function logout() {
  return ask("/api/v1/session", { method: "DELETE" });
}

async function ask(url, options) {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  let answer;
  let body;
  try {
    answer = await fetch(url, { ...options, signal, credentials: "same-origin" });
    body = answer.status === 204 ? null : await answer.json().catch(unreadable);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    traffic.dispatchEvent(new Event("failed"));
    throw new Unreachable(String(error));
  }
  if (answer.ok) return body;
  if (answer.status === 401 && !url.endsWith("/session")) traffic.dispatchEvent(new Event("unauthorized"));
  throw new Problem(answer.status, body ?? {});
}

function unreadable(error) {
  if (error instanceof SyntaxError) return {}; // a proxy's page in HTML, say: its status tells enough
  throw error;
}
