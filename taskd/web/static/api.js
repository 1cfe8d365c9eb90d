// Questions and orders to the server that this page came from, and to no other.

const API = "/api/v1";

/** The server refused, or could not be asked (status 0); the message is for people. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** Whether the server has no such route at all; else it has no such job, queue, … */
  get isUnknownRoute() {
    return this.status === 405 || (this.status === 404 && this.message.includes("openapi.json"));
  }
}

/** Who is looking: "operator", "reader" or "none". */
export const session = { role: "none", needsToken: false, csrf: null };

const known = new Map(); // what may be asked for: path, and the names of its parameters
const orders = new Set(); // what may be ordered: paths without the names in them
let bearer = null; // the token, if the server keeps no sessions; never stored

/** Find out who is looking and what the server offers. */
export async function begin() {
  try {
    const found = await get("/session");
    Object.assign(session, {
      role: found.role,
      needsToken: found.needs_token,
      csrf: found.csrf ?? null,
    });
  } catch (refused) {
    if (!(refused instanceof Refused) || refused.status === 0) throw refused;
    Object.assign(session, { role: "reader", needsToken: bearer !== null });
  }
  if (session.role === "none") return;
  try {
    await readDescription();
  } catch (refused) {
    if (refused.status !== 401) throw refused;
    Object.assign(session, { role: "none", needsToken: true });
  }
}

async function readDescription() {
  const { paths } = await get("/openapi.json");
  for (const [path, { get: asked, post: ordered }] of Object.entries(paths)) {
    if (asked) known.set(path, new Set((asked.parameters ?? []).map(({ name }) => name)));
    if (ordered) orders.add(path.replace(/\/\{\w+\}/g, "").slice(1));
  }
}

/** Whether the server answers this path, as it describes itself, and with this parameter. */
export function offers(path, parameter = null) {
  return known.has(path) && (parameter === null || known.get(path).has(parameter));
}

/** Whether the viewer may give orders of this kind, such as "queues/pause". */
export function may(kind) {
  return session.role === "operator" && orders.has(kind);
}

/** Show the token; raises Refused if it is wrong. */
export async function signIn(token) {
  try {
    await send("POST", "/session", { token });
  } catch (refused) {
    if (!refused.isUnknownRoute) throw refused;
    bearer = token;
  }
  await begin();
  if (session.role !== "none") return;
  bearer = null;
  throw new Refused(401, "That is not the token of this server.");
}

/** Forget the token. */
export async function signOut() {
  if (bearer === null) await send("DELETE", "/session");
  bearer = null;
  await begin();
}

/** What a path says; `query` without what is null or empty. */
export function get(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(given).toString();
  return ask(search ? `${path}?${search}` : path, { signal });
}

/** Order something; what became of it. */
export function post(path, body = {}) {
  return send("POST", path, body);
}

function send(method, path, body = undefined) {
  const headers = { "Content-Type": "application/json" };
  if (session.csrf) headers["X-Taskd-Csrf"] = session.csrf;
  return ask(path, { method, headers, body: body && JSON.stringify(body) });
}

async function ask(path, { headers = {}, ...options }) {
  const shown = bearer === null ? headers : { ...headers, Authorization: `Bearer ${bearer}` };
  let response;
  try {
    response = await fetch(API + path, {
      ...options,
      headers: shown,
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch (fault) {
    if (fault.name === "AbortError") throw fault;
    throw new Refused(0, "The server does not answer.");
  }
  const found = await read(response);
  if (response.status === 401 && session.role !== "none") endSession();
  if (!response.ok) {
    throw new Refused(response.status, found?.error ?? `${response.status} ${response.statusText}`);
  }
  return found;
}

/** It has run out: the frame hears of it, and asks for the token. */
function endSession() {
  Object.assign(session, { role: "none", needsToken: true, csrf: null });
  dispatchEvent(new Event("signedout"));
}

async function read(response) {
  try {
    return await response.json();
  } catch {
    return null; // what a proxy says in between is no JSON
  }
}
