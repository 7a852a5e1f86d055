"""Text that strangers or models wrote: made harmless before anybody reads it.

Owns what is stripped and the bounds; knows no source of such text. Nothing of it is in the
council's prompt: Keel reads no news and no posts, and names are not shown.
"""

from __future__ import annotations

import unicodedata

MAX_TEXT = 400  # characters, where the caller names no other bound

# Cc control, Cf format (bidi marks, zero width, tags, soft hyphen), Co private, Cs half a
# surrogate pair, Cn unassigned, Zl and Zp line and paragraph separators.
_STRIPPED = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
# Marks that show nothing of themselves, though Unicode counts them as letters or marks.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_MOST_MARKS = 2  # combining marks on one letter; more of them paint over the lines above


def clean(text: str, most: int = MAX_TEXT) -> str:
    """One line of visible characters, at most `most` of them, compatibility forms folded.

    Fullwidth and mathematical letters become plain ones (NFKC), so that what a reader of code
    compares is what a model reads.
    """
    kept: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFKC", text[: 8 * most]):
        if char.isspace():
            char = " "
        elif unicodedata.category(char) in _STRIPPED or char in _BLANK or _is_selector(char):
            continue
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= _MOST_MARKS:
            kept.append(char)
    return " ".join("".join(kept).split())[:most].rstrip()


def _is_selector(char: str) -> bool:
    """Variation selectors: they carry hidden bytes and show nothing."""
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
