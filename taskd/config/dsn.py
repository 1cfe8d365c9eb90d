"""Connection strings of PostgreSQL: checked lightly, without a driver, and shown without secrets.

A full check is libpq's affair when it connects; this one finds what is no connection string at all.
"""

import re

EXAMPLES = "postgresql://user@host:5432/name or host=… port=… dbname=…"

_SCHEME = re.compile(r"postgres(?:ql)?://")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_PAIR = re.compile(r"\s*([A-Za-z_]+)\s*=\s*('(?:\\.|[^'\\])*'|(?:\\.|[^\s'\\])*)(?=\s|$)", re.DOTALL)

# Both patterns rather hide too much than too little: the text may be broken, or a driver's message.
_SECRET_WORD = re.compile(
    r"\b((?:\w*passw(?:or)?d|passphrase|pwd)\s*[=:]\s*)"
    r"('(?:\\.|[^'\\])*(?:'|$)|\"[^\"]*(?:\"|$)|(?:\\.|\S)+)",
    re.DOTALL | re.IGNORECASE,
)
_SECRET_IN_URI = re.compile(r"([^\s:/@'\"]*:)(?!//)(.+)@", re.DOTALL)


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
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    for host in authority.rpartition("@")[2].split(","):
        _check_port(host)


def _check_port(host: str) -> None:
    if host.startswith("["):
        address, closed, port = host.partition("]")
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
    """The text with every password in it replaced by `***`; for errors, logs and listings.

    Takes a connection string, a broken one, or a message that quotes one; what cannot be told
    apart from a password is hidden with it.
    """
    return _SECRET_IN_URI.sub(r"\1***@", _SECRET_WORD.sub(r"\1***", text))
