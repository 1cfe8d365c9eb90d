// Elements made of names, attributes and text. Nothing here reads HTML, so whatever the API says
// stays text; the policy that the page is served with (trusted-types 'none') holds that, too.

const SVG = "http://www.w3.org/2000/svg";
const DRAWN = new Set(["svg", "path", "line", "rect", "circle", "g"]);
// The user opens and closes these, not the data.
const OF_THE_USER = new Set(["open", "style"]);

/**
 * An element. A prop is an attribute; `onclick` and the like are listeners, `.checked` and the like
 * properties that follow the data, `style` an object, `key` what the element is known by among its
 * siblings. Children are elements, texts and lists of those; null and false are left out.
 */
export function h(name, props, ...children) {
  const node = DRAWN.has(name)
    ? document.createElementNS(SVG, name)
    : document.createElement(name);
  node.listens = {};
  node.follows = {};
  for (const [prop, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined) continue;
    if (prop.startsWith(".")) node[prop.slice(1)] = node.follows[prop.slice(1)] = value;
    else if (value === false) continue;
    else if (prop === "key") node.key = value;
    else if (prop === "style") setStyle(node, value);
    else if (prop.startsWith("on")) node[prop] = node.listens[prop] = value;
    else node.setAttribute(prop, value === true ? "" : value);
  }
  node.append(...flat(children));
  return node;
}

function setStyle(node, rules) {
  for (const [rule, value] of Object.entries(rules)) node.style.setProperty(rule, value);
}

function flat(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false && child !== "")
    .map((child) => (child instanceof Node ? child : document.createTextNode(child)));
}

/**
 * Make the children of `parent` like `wanted`, changing as little as possible: what stays keeps its
 * focus, its selection and its place under the pointer.
 */
export function morph(parent, wanted) {
  const nodes = flat([wanted]);
  const kept = new Set(nodes.map((node) => node.key).filter((key) => key !== undefined));
  const keyed = new Map();
  for (const child of [...parent.childNodes]) {
    if (child.key === undefined) continue;
    if (kept.has(child.key)) keyed.set(child.key, child);
    else child.remove();
  }
  let at = parent.firstChild;
  for (const fresh of nodes) {
    const match = fresh.key === undefined ? at : keyed.get(fresh.key);
    if (!match || !isAlike(match, fresh)) {
      parent.insertBefore(fresh, at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else parent.insertBefore(match, at);
    patch(match, fresh);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function isAlike(old, fresh) {
  return old.nodeName === fresh.nodeName && old.key === fresh.key;
}

function patch(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  patchAttributes(old, fresh);
  for (const name of Object.keys(old.listens)) old[name] = fresh.listens[name] ?? null;
  Object.assign(old, fresh.listens);
  old.listens = fresh.listens;
  for (const [name, value] of Object.entries(fresh.follows)) {
    if (old[name] !== value) old[name] = value;
  }
  morph(old, [...fresh.childNodes]);
}

function patchAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!OF_THE_USER.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (!OF_THE_USER.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  // Through the object model: the policy allows no style attribute.
  if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
}
