"""When positions had no stop, read off the venue's own ledger, to the millisecond.

Owns the timeline of one ledger: fills move a position, stops begin and cease to rest. Nobody
has to look at the right moment, and a restart of the daemon forgets nothing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Any

from tests.books import reading

ZERO = Decimal(0)
Span = tuple[int, int]  # market time, ms


@dataclass(frozen=True, slots=True)
class Naked:
    """One moment: a position that no resting stop covered, from when to when (market ms)."""

    coin: str
    begun: int
    ended: int

    def lasted_ms(self, away: Iterable[Span] = ()) -> int:
        """How long, without the spans in which no daemon ran."""
        spared = sum(max(0, min(self.ended, to) - max(self.begun, since)) for since, to in away)
        return self.ended - self.begun - spared


class _Turn(IntEnum):
    """The order of what happens within one millisecond at the venue."""

    ARMED = 0  # the stop of a bracket, by the fill of its parent
    FILLED = 1
    PLACED = 2
    GONE = 3


@dataclass(slots=True)
class _Coin:
    """One coin as the timeline passes."""

    size: Decimal = ZERO
    stops: dict[int, tuple[bool, Decimal | None]] = field(default_factory=dict)
    since: int | None = None

    @property
    def naked(self) -> bool:
        facing = [size for is_buy, size in self.stops.values() if is_buy == (self.size < 0)]
        whole = any(size is None for size in facing)
        return not whole and sum((s for s in facing if s is not None), ZERO) < abs(self.size)


def market_now(ledger: Path) -> int:
    """The venue's market time when it last wrote."""
    with closing(reading(ledger)) as db:
        ((state,),) = db.execute("SELECT value FROM world WHERE key = 'state'").fetchall()
    return int(json.loads(state)["now"])


def naked_moments(ledger: Path) -> list[Naked]:
    """Every moment in which a position was not covered, also one that lasted 0 ms.

    One that is not over ends with what the venue wrote last.
    """
    with closing(reading(ledger)) as db:
        db.execute("BEGIN")
        orders = [json.loads(body) for (body,) in db.execute("SELECT body FROM orders")]
        rows = db.execute("SELECT body FROM events WHERE kind = 'fill' ORDER BY id").fetchall()
    end = market_now(ledger)
    coins: defaultdict[str, _Coin] = defaultdict(_Coin)
    found = []
    for at, _, coin, act in _timeline(orders, [json.loads(body) for (body,) in rows]):
        one = coins[coin]
        _apply(one, act)
        if one.naked and one.since is None:
            one.since = at
        elif not one.naked and one.since is not None:
            found.append(Naked(coin, one.since, at))
            one.since = None
    left = [Naked(coin, one.since, end) for coin, one in coins.items() if one.since is not None]
    return [*found, *left]


def longest_s(moments: Sequence[Naked], away: Sequence[Span] = (), speed: float = 1.0) -> float:
    """The longest of them, machine seconds of running daemons."""
    return max((naked.lasted_ms(away) for naked in moments), default=0) / 1000 / speed


# --- the timeline -----------------------------------------------------------------------------

_Act = tuple[str, Any]  # ("fill", signed size), ("rests", (oid, is_buy, size)), ("gone", oid)


def _apply(coin: _Coin, act: _Act) -> None:
    match act:
        case ("fill", change):
            coin.size += change
        case ("rests", (oid, is_buy, size)):
            coin.stops[oid] = (is_buy, size)
        case (_, oid):
            coin.stops.pop(oid, None)


def _timeline(
    orders: Sequence[Mapping[str, Any]], fills: Sequence[Mapping[str, Any]]
) -> list[tuple[int, int, str, _Act]]:
    """Everything that moved a position or its cover, in the order in which it happened."""
    traded: dict[int, list[int]] = defaultdict(list)
    found: list[tuple[int, int, str, _Act]] = []
    for row in fills:
        traded[int(row["oid"])].append(int(row["time"]))
        change = Decimal(row["sz"]) if row["side"] == "B" else -Decimal(row["sz"])
        found.append((int(row["time"]), _Turn.FILLED, row["coin"], ("fill", change)))
    for order in orders:
        if order["is_stop"] and order["reduce_only"] and order["armed"]:
            found += _life_of(order, traded)
    return sorted(found, key=lambda event: event[:2])


def _life_of(
    stop: Mapping[str, Any], traded: Mapping[int, Sequence[int]]
) -> Iterator[tuple[int, int, str, _Act]]:
    """When a stop began to rest and when it ceased to."""
    size = None if stop["whole"] else Decimal(stop["original"])
    rests: _Act = ("rests", (stop["oid"], stop["is_buy"], size))
    parent = traded.get(stop["parent"] or -1)
    if parent:
        yield max(parent), _Turn.ARMED, stop["coin"], rests
    elif stop["status"].lower().endswith("rejected") and not stop["fired"]:
        return  # it never rested
    else:
        yield stop["at"], _Turn.PLACED, stop["coin"], rests
    own = traded.get(stop["oid"], ())
    if stop["fired"]:
        yield min(own, default=stop["status_at"]), _Turn.GONE, stop["coin"], ("gone", stop["oid"])
    elif stop["status"] != "open":
        yield stop["status_at"], _Turn.GONE, stop["coin"], ("gone", stop["oid"])
