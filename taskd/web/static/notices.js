// What is told beside the page: the end of an order, and that the server cannot be reached. It lies
// over the page's edge, so that nothing moves for it.

import { h, morph } from "./dom.js";

const SHOWN_MS = 8000;
const toasts = [];
let trouble = null;
let number = 0;

export const tell = {
  /** Something has happened that the user wanted; read out politely. */
  done(text) {
    add(text, "done");
  },

  /** An order was refused. */
  refused(text) {
    add(text, "refused");
  },

  /**
   * Something takes a while: shown below all else until `end`, with a button that sets `isStopped`.
   * `say` changes what is shown; that is not read out each time.
   */
  going(text) {
    const toast = { text, kind: "going", key: ++number };
    const task = {
      isStopped: false,
      say(text) {
        toast.text = text;
        draw();
      },
      end: () => {
        const isFocused = Boolean(document.activeElement?.closest(".going"));
        remove(toast);
        if (isFocused && !document.activeElement?.closest(".going")) document.getElementById("title")?.focus();
      },
    };
    toast.stop = () => {
      task.isStopped = true;
      draw();
    };
    toast.isStopping = () => task.isStopped;
    toasts.push(toast);
    draw();
    return task;
  },

  /** The server answers again. */
  isReached() {
    if (trouble === null) return;
    trouble = null;
    draw();
  },

  /** What is shown is not of this moment. */
  isUnreached(text) {
    if (trouble === text) return;
    trouble = text;
    draw();
  },
};

function add(text, kind) {
  const toast = { text, kind, key: ++number };
  toasts.push(toast);
  draw();
  setTimeout(() => remove(toast), SHOWN_MS);
}

function remove(toast) {
  const at = toasts.indexOf(toast);
  if (at >= 0) toasts.splice(at, 1);
  draw();
}

function draw() {
  const isLast = ({ kind }) => kind === "going";
  const shown = [...toasts].sort((one, other) => isLast(one) - isLast(other)).map((toast) =>
    h("div", { class: `toast ${toast.kind}`, key: toast.key, "aria-live": isLast(toast) && "off" },
      h("span", {}, toast.text),
      toast.stop
        ? h("button", { onclick: toast.stop, "aria-disabled": toast.isStopping() && "true" }, toast.isStopping() ? "Stopping …" : "Stop")
        : h("button", { class: "plain", "aria-label": "Dismiss", onclick: () => remove(toast) }, "×")));
  if (trouble !== null) {
    shown.unshift(h("div", { class: "toast refused", key: "trouble" }, `Not up to date: ${trouble}`));
  }
  morph(document.getElementById("notices"), shown);
}
