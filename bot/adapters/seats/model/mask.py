"""The key of one endpoint, taken out of whatever that endpoint sends back.

Owns the spellings under which a key can return; knows neither where a text came from nor where
it goes.
"""

from __future__ import annotations

import re
import unicodedata

MASK = "***"
SHORTEST_SECRET = 6  # shorter ones are words of their own
MOST_READ = 16_384  # characters; more are neither read as an answer nor kept
DEPTH = 4  # of escapes within escapes that are undone
_BACKSLASHES = r"\\{0,8}"  # before a character or its number: JSON in JSON doubles them
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_ESCAPED = re.compile(_BACKSLASHES + r"u([0-9a-fA-F]{4})")


class Mask:
    """Takes one key out of texts; an empty or very short one is no secret."""

    def __init__(self, key: str) -> None:
        self._key = key.lower()
        spelt = "".join(f"{_BACKSLASHES}(?:{re.escape(char)}|u{ord(char):04x})" for char in key)
        secret = len(key) >= SHORTEST_SECRET
        self._pattern = re.compile(spelt, re.IGNORECASE) if secret else None

    def plainly(self, text: str) -> str:
        """`text` without the key as it is written, or escaped as JSON does it at any depth."""
        return self._pattern.sub(MASK, text) if self._pattern is not None else text

    def __call__(self, text: str) -> str:
        """`text` without the key; nothing of a text that spells it out in another way.

        Such a way shows when the text is read: escapes that become escapes, characters without
        width between the letters, letters of another width.
        """
        text = self.plainly(text)
        return MASK if self._pattern is not None and self._key in _read(text).lower() else text


def _read(text: str) -> str:
    """The text as it is after every further step of reading it."""
    text = text[:MOST_READ]
    for _ in range(DEPTH):
        if "\\" not in text:
            break
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
        text = text.replace("\\\\", "\\") if "\\\\" in text else text.replace("\\", "")
    folded = unicodedata.normalize("NFKC", text).encode("ascii", "ignore").decode()
    return _CONTROL.sub("", folded)
