"""What a model is shown: facts, and the messages made of them.

Owns the words of a question and of the directions that an answer reads in it; knows no
endpoint and no vote.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """What a piece of evidence speaks for, in the reader's eyes."""

    BULLISH = "bullish"
    BEARISH = "bearish"
    NEUTRAL = "neutral"


class Horizon(StrEnum):
    """How long the trade is expected to take; an answer names one of these."""

    M15 = "15m"
    H1 = "1h"
    H4 = "4h"
    D1 = "1d"
    D3 = "3d"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing a model may see: a key, and a number already rounded, or a word."""

    key: str
    value: float | str


@dataclass(frozen=True, slots=True)
class Brief:
    """The facts of one question, in the order in which they are shown.

    Only what closed bars say, in units free of price scale: the same bars give the same
    bytes, so the answer can be kept. No symbol, no price, no time.
    """

    facts: tuple[Fact, ...] = ()

    def value(self, key: str) -> float | str | None:
        """What is shown under `key`; None where nothing is."""
        return next((fact.value for fact in self.facts if fact.key == key), None)


@dataclass(frozen=True, slots=True)
class Messages:
    """What goes to every model: `system` never changes within a version, `user` does.

    `version` names the template and the hash of its bytes ("council-v1-1f3a…").
    """

    system: str = ""
    user: str = ""
    version: str = ""
