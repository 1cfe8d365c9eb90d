"""Connection strings of PostgreSQL: checked lightly, without a driver, and shown without secrets.

A full check is libpq's affair when it connects; this one finds what is no connection string at all.
"""

import re

EXAMPLES = "postgresql://user@host:5432/name or host=… port=… dbname=…"

_SCHEME = re.compile(r"postgres(?:ql)?://")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_PAIR = re.compile(
    r"\s*[A-Za-z_]+\s*=\s*(?:'(?:\\.|[^'\\])*'|(?!')(?:\\.|[^\s\\])*)(?=\s|$)", re.DOTALL
)

_SECRET_WORD = re.compile(
    r"\b(\w*passw(?:or)?d[\"']?\s*[=:]\s*)"
    r"('(?:\\.|[^'\\])*(?:'|$)|\"[^\"]*(?:\"|$)|(?:\\.|\S)+)",
    re.DOTALL | re.IGNORECASE,
)
_URI_START = re.compile(r"\s*\w+:?//?")
_COLON_OF_PASSWORD = re.compile(r":(?!//)")


def check_dsn(text: str) -> str:
    """Give back a connection string that PostgreSQL's client library could parse.

    Raises ValueError with a sentence that never quotes the string: it may hold a password.
    """
    if not text.strip():
        raise ValueError("is empty: leave it out for the embedded PostgreSQL")
    if "\0" in text:
        raise ValueError("holds a NUL character")
    if _SCHEME.match(text):
        _check_uri(text)
    elif "=" in text and "://" not in text.partition("=")[0]:
        _check_pairs(text)
    else:
        raise ValueError(f"is not a connection string: write {EXAMPLES}")
    return text


def _check_uri(text: str) -> None:
    rest = _SCHEME.sub("", text, count=1)
    if any(character.isspace() for character in text):
        raise ValueError("is a URI with a space in it: write %20 for a space")
    if _BAD_ESCAPE.search(rest):
        raise ValueError("is a URI with a % that begins no escape: write %25 for a percent sign")
    # As libpq does: credentials end at the first @, and there are none after a slash.
    credentials, at, after = rest.partition("@")
    located = after if at and "/" not in credentials else rest
    hosts = re.split(r"[/?]", located, maxsplit=1)[0]
    if "@" in hosts:
        raise ValueError("is a URI with two @: in a password, write %40 for @")
    for host in hosts.split(","):
        _check_port(host)


def _check_port(host: str) -> None:
    if host.startswith("["):
        _, closed, port = host.partition("]")
        if not closed or (port and not port.startswith(":")):
            raise ValueError("is a URI whose IPv6 address lacks its closing bracket")
        port = port[1:]
    else:
        port = host.partition(":")[2]
    if port and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise ValueError(
            "is a URI whose port is not between 1 and 65535 "
            "(in a password, write %3A for :, %2F for / and %40 for @)"
        )


def _check_pairs(text: str) -> None:
    position, end = 0, len(text.rstrip())
    while position < end:
        pair = _PAIR.match(text, position)
        if pair is None:
            raise ValueError(
                "is not a row of key=value words: put a value with spaces in single quotes"
            )
        position = pair.end()


def mask_dsn(text: str) -> str:
    """Return the text with every password in it replaced by `***`; for errors, logs and listings.

    Takes a connection string, a broken one, or a message that quotes one; it rather hides too
    much than too little.
    """
    masked = _SECRET_WORD.sub(r"\1***", text)
    # A URI may be broken by a space in its password; in a sentence, the space parts the words.
    if _URI_START.match(masked):
        return _mask_credentials(masked)
    return re.sub(r"\S+", lambda word: _mask_credentials(word[0]), masked)


def _mask_credentials(text: str) -> str:
    at = text.rfind("@")
    colon = _COLON_OF_PASSWORD.search(text, 0, max(at, 0))
    if colon is None:
        return text
    return f"{text[: colon.end()]}***{text[at:]}"
