// Texts whose last lines matter most, as of a traceback: they show their end, as long as nobody reads elsewhere.

const ends = new WeakMap(); // where the end of each was when it was last shown

/** Scroll such texts of a page within themselves; those that are pointed at, or scrolled away, stay. */
export function showEnds(place) {
  for (const text of place.querySelectorAll("pre.ends")) {
    const end = ends.get(text);
    if (end !== undefined && (text.scrollTop < end - 1 || text.matches(":hover, :focus"))) continue;
    text.scrollTop = text.scrollHeight;
    ends.set(text, text.scrollTop);
  }
}
