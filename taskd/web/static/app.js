// The frame of all pages: who is looking, where they are, and the page that belongs there.

import { Refused, begin, offers, session, signIn, signOut } from "./api.js";
import { h, morph } from "./dom.js";
import { zone } from "./format.js";
import { isPaused, pause } from "./live.js";
import { tell } from "./notices.js";
import { heading } from "./parts.js";
import { View } from "./view.js";
import * as audit from "./pages/audit.js";
import * as database from "./pages/database.js";
import * as failures from "./pages/failures.js";
import * as job from "./pages/job.js";
import * as jobs from "./pages/jobs.js";
import * as leaks from "./pages/leaks.js";
import * as overview from "./pages/overview.js";
import * as queues from "./pages/queues.js";
import * as resources from "./pages/resources.js";
import * as schedules from "./pages/schedules.js";
import * as tasks from "./pages/tasks.js";
import * as worker from "./pages/worker.js";
import * as workers from "./pages/workers.js";

const PAGES = { overview, queues, jobs, failures, workers, tasks, resources, schedules, leaks, database, audit };
const OF_ONE = { jobs: job, workers: worker };
// Pages that only some servers have the figures for.
const NEEDS = { leaks: "/leaks", database: "/database", audit: "/audit" };
const THEMES = ["system", "light", "dark"];

let view = null;

function place() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [kind, name] = path.split("/").map(decoded);
  return { kind: kind || "overview", name: name ?? null, params: Object.fromEntries(new URLSearchParams(search)) };
}

/** What an address means; what is no encoding means itself, as after somebody has typed it. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function isOffered(kind) {
  return !(kind in NEEDS) || offers(NEEDS[kind]);
}

function show() {
  const at = place();
  view?.close();
  view = null;
  drawFrame(at);
  const main = document.getElementById("page");
  if (session.role === "none") return signInPage(main);
  const page = (at.name !== null && OF_ONE[at.kind]) || (isOffered(at.kind) && PAGES[at.kind]);
  if (!page) return nowhere(main);
  document.title = `${page.title(at.name)} · taskd`;
  // A new page begins anew: what the last one had drawn is not bent into it.
  main.replaceChildren();
  view = new View(main, at);
  view.render = page.open(view);
  view.draw();
}

function nowhere(main) {
  document.title = "Not found · taskd";
  morph(main, [heading("Not found"), h("p", {}, h("a", { href: "#/overview" }, "Overview"))]);
}

function signInPage(main) {
  document.title = "Sign in · taskd";
  const submit = async (event) => {
    event.preventDefault();
    const said = main.querySelector("[role=alert]");
    try {
      await signIn(new FormData(event.target).get("token").trim());
      go();
    } catch (fault) {
      if (!(fault instanceof Refused)) throw fault;
      said.textContent = fault.message;
    }
  };
  morph(main, [h("form", { class: "card signin", onsubmit: submit },
    h("h1", { id: "title", tabindex: "-1" }, "Sign in"),
    h("label", {}, h("span", {}, "Token"), h("input", { name: "token", type: "password", required: true, autocomplete: "current-password" })),
    h("p", { role: "alert", class: "error" }),
    h("button", { class: "primary" }, "Sign in"))]);
}

function drawFrame({ kind, name }) {
  const items = Object.entries(PAGES).filter(([each]) => isOffered(each)).map(([each, page]) =>
    h("li", { key: each }, h("a", {
      href: `#/${each}`,
      "aria-current": each === kind ? (name === null ? "page" : "true") : null,
    }, page.title())));
  morph(document.getElementById("menu"), session.role === "none" ? [] : items);
  morph(document.getElementById("controls"), controls());
  closeMenu();
}

function controls() {
  return [
    session.role !== "none" && h("button", {
      class: `live ${isPaused() ? "" : "on"}`, "aria-pressed": String(!isPaused()),
      title: isPaused() ? "Show what happens" : "Hold still",
      onclick: () => { pause(!isPaused()); redraw(); },
    }, isPaused() ? "Paused" : "Live"),
    h("button", { onclick: turnTheme, title: "Light or dark", "aria-label": `Theme: ${theme()}` }, h("span", { class: "long" }, "Theme: "), theme()),
    session.needsToken && session.role !== "none" && h("button", { onclick: leave }, "Sign out"),
    session.role === "reader" && h("span", { class: "note long" }, "read only"),
  ];
}

function redraw() {
  drawFrame(place());
  view?.draw();
}

async function leave() {
  try {
    await signOut();
  } catch (fault) {
    tell.refused(fault.message);
  }
  go();
}

function theme() {
  return document.documentElement.dataset.theme ?? "system";
}

function setTheme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  try {
    localStorage.setItem("taskd-theme", name);
  } catch {
    // It holds until the page is left, where nothing may be stored.
  }
}

function turnTheme() {
  setTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
  redraw();
}

function closeMenu() {
  document.body.classList.remove("menu-open");
  document.getElementById("menu-button").setAttribute("aria-expanded", "false");
}

function go() {
  show();
  scrollTo(0, 0);
  // Who cannot see it is told where they are now.
  document.getElementById("title")?.focus({ preventScroll: true });
}

async function start() {
  try {
    setTheme(localStorage.getItem("taskd-theme") ?? "system");
  } catch {
    setTheme("system");
  }
  document.getElementById("zone").textContent = zone;
  document.getElementById("menu-button").onclick = (event) => {
    const isOpen = document.body.classList.toggle("menu-open");
    event.currentTarget.setAttribute("aria-expanded", String(isOpen));
  };
  document.getElementById("skip").onclick = (event) => {
    event.preventDefault();
    document.getElementById("title")?.focus();
  };
  addEventListener("hashchange", go);
  addEventListener("signedout", show);
  try {
    await begin();
  } catch (fault) {
    tell.isUnreached(fault.message);
    setTimeout(start, 2000);
    return;
  }
  tell.isReached();
  show();
}

start();
