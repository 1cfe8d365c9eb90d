"""What a plain, unquoted word of the file means.

YAML 1.1 reads `no` as false, `1:30` as 90 and `010` as 8; YAML 1.2 reads them otherwise. Here a
word is true, false, null, a decimal number, or text; and what looks like a number but has more
than one reading is refused.
"""

import re

_CONSTANTS: dict[str, bool | None] = {
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
# Octal, hexadecimal, binary and underscored numbers, infinity and not-a-number.
_AMBIGUOUS = re.compile(
    r"[-+]?(?:0[0-9]+(?:\.[0-9]*)?|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*_[0-9_]*"
    r"|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)
_MAX_DIGITS = 18


def read_word(word: str) -> bool | int | float | str | None:
    """Return the value of a plain word, which is the word itself unless it is a constant or number.

    Raises ValueError with a sentence for a word with several readings, such as `010`.
    """
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if _AMBIGUOUS.fullmatch(word):
        raise ValueError(
            f"{_shortened(word)} has more than one reading: "
            "write a plain decimal number, or put it in quotes if it is text"
        )
    if not _DECIMAL.fullmatch(word):
        return word
    if len(word) > _MAX_DIGITS:
        raise ValueError(f"{_shortened(word)} has too many digits: quote it if it is text")
    return int(word) if _INTEGER.fullmatch(word) else float(word)


def _shortened(word: str) -> str:
    return word if len(word) <= 40 else f"{word[:40]}…"
