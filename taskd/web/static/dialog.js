// Questions before something is done. The browser's own dialog: it holds the focus and gives it back.

import { h } from "./dom.js";

/**
 * Ask; the values of its fields by name, or null if the user thought better of it.
 * about: what it says, elements or texts; may be a function that gets the dialog's parts
 * {about, confirm} to change them while it is open. fields: {name, label, value, isLong, options}.
 */
export function ask({ title, about = [], confirm, isDangerous = false, fields = [], during = null }) {
  return new Promise((resolve) => {
    const words = h("div", { class: "about" }, about);
    const button = h("button", { type: "submit", class: isDangerous ? "danger" : "primary" }, confirm);
    const inputs = fields.map(field);
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" },
      h("form", { method: "dialog" },
        h("h2", { id: "dialog-title" }, title),
        words,
        inputs,
        h("div", { class: "buttons" },
          h("button", { type: "button", onclick: () => dialog.close() }, "Leave it"),
          button)));
    let values = null;
    dialog.querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      values = Object.fromEntries(new FormData(event.target));
      dialog.close();
    };
    dialog.onclose = () => {
      dialog.remove();
      resolve(values);
    };
    document.body.append(dialog);
    dialog.showModal();
    during?.({ words, button, dialog });
  });
}

function field({ name, label, value = "", isLong = false, options = null, isNeeded = true }) {
  const list = options && h("datalist", { id: `options-${name}` }, options.map((each) => h("option", { value: each })));
  const input = isLong
    ? h("textarea", { name, rows: 4, required: isNeeded }, value)
    : h("input", { name, value, required: isNeeded, list: options && `options-${name}`, autocomplete: "off" });
  return h("label", {}, h("span", {}, label), input, list);
}
