"""Owns the mask: every secret of this process, hidden in whatever text is about to leave it.

Refuses to know where texts go.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote, unquote

MASK = "***"
SHORTEST_SECRET = 6  # masking shorter strings would eat ordinary text

_secrets: set[str] = set()
_pattern: re.Pattern[str] | None = None


def register_secret(value: str) -> None:
    """Mask `value` in every line from now on, also escaped, quoted or cut at its line ends.

    Of a URL its password alone as well. Values under 6 characters are left alone.
    """
    global _pattern
    value = value.strip()
    parts = {value, *_passwords(value), *value.replace("\\n", "\n").splitlines()}
    bare = value[2:] if value.lower().startswith("0x") else value
    for part in (*sorted(parts), bare):
        if len(part) >= SHORTEST_SECRET and not part.startswith("-----"):  # PEM's frame is public
            shown = repr(part)[1:-1]
            _secrets.update({part, shown, quote(part, safe=""), quote(part)})
            _secrets.update({json.dumps(part)[1:-1], json.dumps(shown)[1:-1]})
    if _secrets:
        longest_first = sorted(_secrets, key=lambda text: (-len(text), text))
        _pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)


def _passwords(value: str) -> set[str]:
    """The password of a URL, as it is written there and as it is meant."""
    written = value.partition("://")[2].rpartition("@")[0].partition(":")[2]
    return {written, unquote(written)} - {""}


def redact(text: str) -> str:
    """`text` with every registered secret masked."""
    return _pattern.sub(MASK, text) if _pattern is not None else text
