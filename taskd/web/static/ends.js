// Texts whose last lines matter most, as of a traceback: they show their end, as long as nobody reads elsewhere.

const left = new WeakMap(); // where each was left when the page was last drawn, and whether it follows its end

/** Before a page changes: which of its texts follow their ends, for a text that gets shorter moves by itself. */
export function noteEnds(place) {
  for (const text of place.querySelectorAll("pre.ends")) {
    const known = left.get(text);
    if (!known || text.clientHeight === 0) left.delete(text); // nobody has seen it
    else if (text.scrollTop !== known.top) known.follows = isAtEnd(text);
  }
}

/** Scroll those that follow within themselves, and those not seen before; what is pointed at stays for now. */
export function showEnds(place) {
  for (const text of place.querySelectorAll("pre.ends")) {
    if (text.clientHeight === 0) continue;
    const known = left.get(text);
    const follows = known?.follows ?? true;
    if (follows && !(known && text.matches(":hover, :focus"))) text.scrollTop = text.scrollHeight;
    left.set(text, { top: text.scrollTop, follows });
  }
}

function isAtEnd(text) {
  return text.scrollTop + text.clientHeight >= text.scrollHeight - 1;
}
