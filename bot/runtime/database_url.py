"""How DATABASE_URL is spelled: one judgement for the settings, the store and the scripts.

Owns the two forms and the words of a refusal, which never repeat a URL that may hold a
password; opens nothing.
"""

from __future__ import annotations

import re

FILE, SERVER = "sqlite+aiosqlite", "postgresql+asyncpg"
FILE_FORM = f"{FILE}:///path/to/keel.db"
SERVER_FORM = f"{SERVER}://user:password@host/database"
FORMS = f"{FILE_FORM} or {SERVER_FORM}"
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")  # asyncpg's `ssl`
LARGEST_PORT = 65_535

_HOST = re.compile(r"(?:\[[0-9a-fA-F:.%]+\]|[^:/?#@\[\]\s]+)(?::(?P<port>\d{1,5}))?")
_SECURED = re.compile(rf"ssl=(?:{'|'.join(MODES)})")


def wrong_with(url: str) -> str | None:
    """What is wrong with a DATABASE_URL and how it is spelled; None when it may be used."""
    scheme, found, rest = url.partition("://")
    if not found:
        return f"is not a database URL; allowed is {FORMS}"
    if scheme == FILE:
        return _file(rest)
    if scheme == SERVER:
        return _server(rest)
    backend = scheme.lower().partition("+")[0]
    if backend == "sqlite":
        path = rest.partition("?")[0]
        spelled = f"{FILE}://{path}" if "@" not in rest and _file(path) is None else FILE_FORM
        return f"must be written {spelled}"
    if backend in ("postgresql", "postgres"):
        return f"must be written {SERVER_FORM}"
    return f"asks for {backend[:20]}; allowed is {FORMS}"


def _file(rest: str) -> str | None:
    path, more, _ = rest.partition("?")
    if not path.startswith("/") or path[1:] in ("", ":memory:") or path.endswith("/"):
        return (
            f"must name a file: {FILE_FORM} (three strokes, and a fourth before a path that "
            "begins at the root)"
        )
    if more:
        shown = FILE_FORM if "@" in path else f"{FILE}://{path}"
        return f"takes nothing after the file's name, such as ?...: {shown}"
    return None


def _server(rest: str) -> str | None:
    if rest.count("@") > 1:
        return f"holds more than one @; in a password it is written %40: {SERVER_FORM}"
    address, _, asked = rest.rpartition("@")[2].partition("?")
    host, _, name = address.partition("/")
    found = _HOST.fullmatch(host)
    if not host or host.startswith(":") or not name.strip("/"):
        return f"names no host or no database; allowed is {SERVER_FORM}"
    if found is None or not 0 < int(found["port"] or 1) <= LARGEST_PORT:
        return f"names a host or port that cannot be; allowed is {SERVER_FORM}"
    if asked and not _SECURED.fullmatch(asked):
        return (
            f"takes nothing after ? but ssl=, one of {', '.join(MODES)}; allowed is {SERVER_FORM}"
        )
    return None
