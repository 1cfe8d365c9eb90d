"""`${VAR}` and `${VAR:-default}` in the text of a setting."""

import re
from collections.abc import Mapping

_PLACE = re.compile(r"\$\$|\$\{([^}]*)(\}?)")
_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def holds_reference(text: str) -> bool:
    """Whether `substitute` has anything to replace in the text."""
    return _PLACE.search(text) is not None


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """Replace every `${VAR}` and `${VAR:-default}`, and `$$` by a dollar sign.

    As in a shell, the default stands for an unset and for an empty variable. What was put in is
    not looked at again. Raises ValueError with one sentence for all that is wrong.
    """
    wrong: list[str] = []

    def replacement(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        try:
            return _look_up(found, environ)
        except ValueError as error:
            wrong.append(str(error))
            return ""

    replaced = _PLACE.sub(replacement, text)
    if wrong:
        raise ValueError("; ".join(dict.fromkeys(wrong)))
    return replaced


def _look_up(found: re.Match[str], environ: Mapping[str, str]) -> str:
    if not found[2]:
        raise ValueError("a ${ lacks its closing brace: write $$ for a dollar sign")
    reference = _REFERENCE.fullmatch(found[1])
    if reference is None or "${" in found[1]:
        raise ValueError(
            f"{found[0]!r} is neither ${{VAR}} nor ${{VAR:-default}}: write $$ for a dollar sign"
        )
    name, default = reference[1], reference[2]
    value = environ.get(name)
    if default is not None:
        return value or default
    if value is None:
        raise ValueError(
            f"the environment variable {name} is not set: set it, or write ${{{name}:-default}}"
        )
    return value
