"""What a page is asked about itself, as JavaScript."""

FAINT = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parts(color).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      const alpha = parts(color)[3];
      if (alpha === undefined || alpha === 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = new Set();
  for (const node of document.body.querySelectorAll("*")) {
    const isText = (child) => child.nodeType === 3 && child.data.trim();
    const says = [...node.childNodes].some(isText);
    if (!says || !node.checkVisibility() || node.matches("option, :disabled")) continue;
    const both = [light(getComputedStyle(node).color), light(ground(node))];
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    const name = node.className || node.tagName;
    if (ratio < 4.5) faint.add(`${name} ${node.textContent.slice(0, 30)} ${ratio.toFixed(1)}`);
  }
  return [...faint];
}"""
"""The texts that stand out too little from what is behind them: below 4.5 to 1."""

NAMELESS = """() => {
  const active = "button, a[href], input, select, textarea, [tabindex='0']";
  const isNamed = (node) => node.innerText?.trim() || node.getAttribute("aria-label")
    || [...(node.labels ?? [])].some((label) => label.innerText.trim());
  return [...document.querySelectorAll(active)]
    .filter((node) => node.checkVisibility() && !isNamed(node))
    .map((node) => node.outerHTML.slice(0, 120));
}"""
"""What can be pressed or filled in, and has no name for who cannot see it."""

UNKNOWN = """[...document.querySelectorAll(".tile dd")]
  .filter((each) => each.innerText[0] === "\\u2013")"""
"""Figures that are not there yet."""
