"""Which coin a person means, whatever the case of its letters.

Owns the comparison and the near name; knows no venue.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def meant(said: str, known: Iterable[str]) -> str | None:
    """The known name of the coin; None: there is none of this name."""
    names = sorted(known)
    by_letters = {name.lower(): name for name in reversed(names)}
    return said if said in names else by_letters.get(said.lower())


def near(said: str, known: Iterable[str]) -> str:
    """ "; did you mean BTC?" for a name that is not known; empty where none is near."""
    found = difflib.get_close_matches(said.upper(), sorted(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""
