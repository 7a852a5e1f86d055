"""kill -9 of the daemon at a seeded moment, beside a simulator that lives on; and its judge.

Owns the moments and what must be true afterwards, judged on the venue's ledger; knows nothing
of how the daemon recovers.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import product
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

from bot.domain.orders import client_id, is_ours
from bot.domain.types import Leg, TraceId
from tests.books import (
    differences,
    ends_of_trades,
    memory_differences,
    reading,
    venue_orders,
)
from tests.daemon import START_LIMIT_S, Daemon, Simulator, settled_to_none, wait_for
from tests.scenarios.nakedness import Span, longest_s, market_now, naked_moments

NAKED_LIMIT_S = 10.0  # the longest a position may be without a stop after a restart
MOMENT_LIMIT_S = 90.0
CALM_LIMIT_S = 60.0  # an order in doubt is settled 13 s after it was signed, at the next look
EQUAL_LIMIT_S = 20.0
LOOK_S = 0.1
END = 2**53  # of time: after the last life nothing is judged
MINUTE_MS = 60_000
LIFE_MS = MINUTE_MS  # of a signal nobody was asked about: until the next close (spec 05)
UNDER_WAY_S = 9.0  # clocks may be 1 s apart, an entry expires 8 s after it was signed (spec 05)
TRACES_A_BAR = 40  # each look at a bar takes a number
ATTEMPTS = 4

# Trades much and holds briefly, so that a kill meets orders and not silence.
BUSY: Mapping[str, object] = {
    "SYMBOLS": "BTC,ETH,SOL,DOGE,XRP,ARB,LINK,AVAX",
    "MIN_TIER": 4,
    "TIME_STOP_MINUTES": 6,
    "ENTRY_SPACING_SECONDS": 0,
    "MAX_CORRELATED_POSITIONS": 5,
    "MAX_TRADES_PER_HOUR": 200,
    "MAX_LOSSES_IN_A_ROW": 100,
}


# What a venue does to orders and to what it tells of them. Entries that fill in part have no
# stop until Keel has placed one.
FAULTS: tuple[Mapping[str, object], ...] = (
    {"kind": "partial_entry", "times": 0, "rate": 0.4, "fraction": 0.5},
    {"kind": "gateway", "on": "order", "executed": True, "times": 0, "rate": 0.08},
    {"kind": "gateway", "on": "stop", "times": 0, "rate": 0.1},
    {"kind": "timeout", "on": "order", "lands": "later", "after": 4, "hold_s": 0.5},
    {"kind": "reset", "on": "order", "times": 0, "rate": 0.05},
    {"kind": "drop", "times": 0, "rate": 0.1},
    {"kind": "duplicate", "times": 0, "rate": 0.1},
)


class Moment(StrEnum):
    """When the daemon is killed."""

    WRITTEN = "written"  # an order is in our journal, perhaps not sent
    SENT = "sent"  # an order is in the venue's ledger, perhaps not answered
    HELD = "held"  # a position has just been opened
    ANY = "any"


@dataclass(frozen=True, slots=True)
class KillRun:
    """What came of one seed."""

    kills: tuple[str, ...]
    naked: int  # moments in which a position had no stop at the venue
    longest_naked_s: float
    orders: int
    closed_trades: int
    untraced: int  # trades whose trace was lost with the process

    def __str__(self) -> str:
        return (
            f"{len(self.kills)} kills ({', '.join(self.kills)}), {self.orders} orders, "
            f"{self.closed_trades} trades closed ({self.untraced} without a trace), "
            f"{self.naked} times without a stop, the longest {self.longest_naked_s:.1f} s"
        )


def kill_run(
    folder: Path,
    seed: int,
    moments: Sequence[Moment],
    speed: float = 60,
    settings: Mapping[str, object] = MappingProxyType({}),
    *,
    faults: bool = False,
) -> KillRun:
    """Run, kill at each moment, start again; judge. Raises AssertionError.

    `faults`: whether the venue misbehaves, until the last start.
    """
    random = Random(seed)
    with Simulator(folder / "venue", seed, speed) as venue:
        venue.answering()
        if faults:
            venue.misbehave(FAULTS, seed)
        killed: list[str] = []
        away: list[Span] = []  # no daemon ran
        for moment in moments:
            with _daemon(folder, venue, seed, settings) as daemon:
                _restarted(away, venue)
                _settle(daemon)
                _await_moment(moment, daemon, venue, random, speed)
                daemon.kill()
                away.append((market_now(venue.ledger), 0))
                killed.append(f"{moment.value} {_held(venue.ledger)} held")
        venue.misbehave(())
        with _daemon(folder, venue, seed, settings) as daemon:
            _restarted(away, venue)
            closed = _recover(daemon, venue)
            assert daemon.terminate() == 0, daemon.output()
            away.append((market_now(venue.ledger), END))
        one_order_an_intent(venue_orders(venue.ledger), speed)
        moments_naked = naked_moments(venue.ledger)
        longest = longest_s(moments_naked, away, speed)
        assert longest <= NAKED_LIMIT_S, f"a position without a stop for {longest:.1f} s"
        return KillRun(
            kills=tuple(killed),
            naked=len(moments_naked),
            longest_naked_s=longest,
            orders=len(venue_orders(venue.ledger)),
            closed_trades=closed,
            untraced=_true_traces(daemon.books),
        )


def _restarted(away: list[Span], venue: Simulator) -> None:
    """The time without a daemon ends: from here on a position must not be naked for long."""
    if away:
        away[-1] = (away[-1][0], market_now(venue.ledger))


def _daemon(folder: Path, venue: Simulator, seed: int, settings: Mapping[str, object]) -> Daemon:
    wired = {"HYPERLIQUID_BASE_URL": venue.url, "DEMO_SEED": seed}
    return Daemon(folder, settings={**settings, **wired})


def _settle(daemon: Daemon) -> None:
    """Wait until it runs."""
    end = time.monotonic() + START_LIMIT_S
    while daemon.get("/ready")[0] != 200:
        assert daemon.alive, f"the daemon ended: {daemon.output()}"
        assert time.monotonic() < end, f"not ready within {START_LIMIT_S:g} s"
        time.sleep(LOOK_S)


def _await_moment(
    moment: Moment, daemon: Daemon, venue: Simulator, random: Random, speed: float
) -> None:
    match moment:
        case Moment.WRITTEN:
            _until_more(daemon.books, ORDERS)
            time.sleep(random.choice((0.0, 0.002, 0.005)))
        case Moment.SENT:
            _until_more(venue.ledger, ORDERS)
            time.sleep(random.choice((0.0, 0.0, 0.003)))
        case Moment.HELD:
            _until_more(venue.ledger, HELD)
            time.sleep(random.uniform(0.0, 1.0))
        case Moment.ANY:
            time.sleep(random.uniform(120.0, 1_200.0) / speed)


def _until_more(path: Path, query: str) -> None:
    """Return within a millisecond or so of the moment at which the count grows."""
    end = time.monotonic() + MOMENT_LIMIT_S
    with closing(reading(path)) as db:
        before = _number(db, query)
        while time.monotonic() < end:
            seen = _number(db, query)
            if seen > before:
                return
            before = min(before, seen)  # a position that closes makes room for the next
            time.sleep(0.001)
    raise AssertionError(f"nothing to kill at within {MOMENT_LIMIT_S:g} s")


def _recover(daemon: Daemon, venue: Simulator) -> int:
    """After the last start: calm, trading on, books equal; the number of closed trades."""
    _settle(daemon)

    def calm() -> bool:
        status = daemon.status()
        return bool(status) and not status["blocked"] and status["trading_state"] == "ACTIVE"

    wait_for(calm, CALM_LIMIT_S, "no symbol is blocked any more", LOOK_S)
    before = daemon.status()["closed_trades"]

    def traded() -> bool:
        return bool(daemon.status().get("closed_trades", before) > before)

    wait_for(traded, MOMENT_LIMIT_S, "a trade is closed after the restart", LOOK_S)

    def differing() -> list[str]:
        status = daemon.status()
        return [
            *differences(daemon.books, venue.ledger),
            *(memory_differences(status, daemon.books) if status else ["no /status"]),
        ]

    # What happens while we look makes a difference for a moment: one look without is enough.
    found = settled_to_none(differing, EQUAL_LIMIT_S)
    assert not found, "books differ:\n  " + "\n  ".join(found)
    return int(daemon.status()["closed_trades"])


def _true_traces(books: Path) -> int:
    """No trade's trace tells of another decision; how many trades have none at all."""
    ends = ends_of_trades(books)
    for trace, end in ends.items():
        other = end is not None and end[0] not in ("execute", "protect")
        assert not other, f"the trace of the trade {trace} says that it ended at {end}"
    return sum(end is None for end in ends.values())


# --- the judge: no second order for one intent --------------------------------------------


def one_order_an_intent(orders: list[dict[str, Any]], speed: float) -> None:
    """Each decision has at most one entry at the venue, within its time, under its first name.

    `speed`: market seconds in one of the machine, by which an entry's way is measured; 1 in
    lockstep.
    """
    ours = [order for order in orders if is_ours(order["cloid"])]
    assert len(ours) == len(orders), "orders at the venue that carry no name of ours"
    names = [order["cloid"] for order in ours]
    assert len(set(names)) == len(names), "one client id stands twice in the venue's ledger"
    allowed_ms = LIFE_MS + round(UNDER_WAY_S * 1000 * speed)
    seen: dict[tuple[str, str], str] = {}
    for order in ours:
        if order["reduce_only"]:
            continue
        coin, bar, attempt = _decision_of(order, allowed_ms)
        assert attempt == 0, f"an entry of {coin} {bar} was sent again: {order['cloid']}"
        other = seen.setdefault((coin, bar), order["cloid"])
        assert other == order["cloid"], f"two entries for {coin} {bar}: {other}, {order['cloid']}"


def _decision_of(order: dict[str, Any], allowed_ms: int) -> tuple[str, str, int]:
    """(coin, bar close, attempt) of an entry, found again from its client id alone.

    The close of its bar lies at most `allowed_ms` of market time before it.
    """
    coin, at = order["coin"], int(order["at"])
    closes = range(at - at % MINUTE_MS + MINUTE_MS, at - allowed_ms - 1, -MINUTE_MS)
    for close, number, attempt in product(closes, range(1, TRACES_A_BAR), range(ATTEMPTS)):
        bar = f"{datetime.fromtimestamp(close / 1000, UTC):%Y%m%dT%H%M}"
        if client_id(TraceId(f"{coin}-{bar}-{number}"), Leg.ENTRY, attempt) == order["cloid"]:
            return coin, bar, attempt
    raise AssertionError(
        f"an entry of no decision of the {allowed_ms / 1000:g} s before it: "
        f"{order['cloid']} in {coin}"
    )


# --- looking at the ledger's file, which the venue's rate limit does not count --------------

ORDERS = "SELECT count(*) FROM orders"
HELD = "SELECT coalesce(sum(json_array_length(body, '$.holdings')), 0) FROM accounts"


def _number(db: sqlite3.Connection, query: str) -> int:
    return int(db.execute(query).fetchone()[0])


def _held(ledger: Path) -> int:
    with closing(reading(ledger)) as db:
        return _number(db, HELD)
