"""kill -9 of the daemon at a seeded moment, beside a simulator that lives on; and its judge.

Owns the moments and what must be true afterwards, judged on the venue's ledger; knows nothing
of how the daemon recovers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
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
    read_ledger,
    reading,
    unguarded,
    venue_orders,
)
from tests.daemon import START_LIMIT_S, Daemon, Simulator, settled_to_none, wait_for

NAKED_LIMIT_S = 10.0  # the longest a position may be without a stop after a restart
MOMENT_LIMIT_S = 90.0
CALM_LIMIT_S = 60.0  # an order in doubt is settled 13 s after it was signed, at the next look
EQUAL_LIMIT_S = 20.0
LOOK_S = 0.1
MINUTE_MS = 60_000
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


class Moment(StrEnum):
    """When the daemon is killed."""

    WRITTEN = "written"  # an order is in our journal, perhaps not sent
    SENT = "sent"  # an order is in the venue's ledger, perhaps not answered
    HELD = "held"  # a position has just been opened
    ANY = "any"


@dataclass(slots=True)
class Watch:
    """How long each coin has been without a stop since the last restart."""

    ledger: Path
    since: dict[str, float] = field(default_factory=dict)
    longest_s: float = 0.0

    def restart(self) -> None:
        """Forget what was before: the time counts from the restart."""
        self.since.clear()

    def look(self) -> None:
        """Look once. Raises AssertionError when a position was naked for too long."""
        now = time.monotonic()
        naked = unguarded(self.ledger)
        self.since = {coin: self.since.get(coin, now) for coin in naked}
        for coin, since in self.since.items():
            self.longest_s = max(self.longest_s, now - since)
            assert now - since <= NAKED_LIMIT_S, f"{coin} without a stop for {now - since:.1f} s"


@dataclass(frozen=True, slots=True)
class KillRun:
    """What came of one seed."""

    kills: tuple[str, ...]
    longest_naked_s: float
    orders: int
    closed_trades: int
    untraced: int  # trades whose trace was lost with the process

    def __str__(self) -> str:
        return (
            f"killed {', '.join(self.kills)}; {self.orders} orders at the venue, "
            f"{self.closed_trades} trades closed, "
            f"{self.untraced} without a trace, longest without a stop {self.longest_naked_s:.1f} s"
        )


def kill_run(
    folder: Path,
    seed: int,
    moments: Sequence[Moment],
    speed: float = 60,
    settings: Mapping[str, object] = MappingProxyType({}),
) -> KillRun:
    """Run, kill at each moment, start again; judge. Raises AssertionError."""
    random = Random(seed)
    with Simulator(folder / "venue", seed, speed) as venue:
        venue.answering()
        watch = Watch(venue.ledger)
        killed: list[str] = []
        for moment in moments:
            with _daemon(folder, venue, seed, settings) as daemon:
                _settle(daemon, watch)
                _await_moment(moment, daemon, venue, watch, random, speed)
                daemon.kill()
                held = len(_positions(venue.ledger))
                killed.append(f"{moment.value} ({held} held)")
        with _daemon(folder, venue, seed, settings) as daemon:
            closed = _recover(daemon, venue, watch)
            assert daemon.terminate() == 0, daemon.output()
        one_order_an_intent(venue_orders(venue.ledger))
        untraced = _true_traces(daemon.books)
        return KillRun(
            tuple(killed), watch.longest_s, len(venue_orders(venue.ledger)), closed, untraced
        )


def _daemon(folder: Path, venue: Simulator, seed: int, settings: Mapping[str, object]) -> Daemon:
    wired = {"HYPERLIQUID_BASE_URL": venue.url, "DEMO_SEED": seed}
    return Daemon(folder, settings={**settings, **wired})


def _settle(daemon: Daemon, watch: Watch) -> None:
    """Wait until it runs; a naked position counts from the start of the process on."""
    watch.restart()
    end = time.monotonic() + START_LIMIT_S
    while daemon.get("/ready")[0] != 200:
        assert daemon.alive, f"the daemon ended: {daemon.output()}"
        assert time.monotonic() < end, f"not ready within {START_LIMIT_S:g} s"
        watch.look()
        time.sleep(LOOK_S)


def _await_moment(
    moment: Moment,
    daemon: Daemon,
    venue: Simulator,
    watch: Watch,
    random: Random,
    speed: float,
) -> None:
    match moment:
        case Moment.WRITTEN:
            _until_more(lambda: _count(daemon.books, "orders"), watch)
            time.sleep(random.choice((0.0, 0.002, 0.005)))
        case Moment.SENT:
            _until_more(lambda: _count(venue.ledger, "orders"), watch)
            time.sleep(random.choice((0.0, 0.0, 0.003)))
        case Moment.HELD:
            _until_more(lambda: len(_positions(venue.ledger)), watch)
            time.sleep(random.uniform(0.0, 1.0))
        case Moment.ANY:
            end = time.monotonic() + random.uniform(120.0, 1_200.0) / speed
            while time.monotonic() < end:
                watch.look()
                time.sleep(LOOK_S)


def _until_more(count: Callable[[], int], watch: Watch) -> None:
    """Return within a millisecond or so of the moment at which `count` grows."""
    before, looked = count(), 0.0
    end = time.monotonic() + MOMENT_LIMIT_S
    while (now := time.monotonic()) < end:
        seen = count()
        if seen > before:
            return
        before = min(before, seen)  # a position that closes makes room for the next
        if now - looked > LOOK_S:
            looked = now
            watch.look()
        time.sleep(0.001)
    raise AssertionError(f"nothing to kill at within {MOMENT_LIMIT_S:g} s")


def _recover(daemon: Daemon, venue: Simulator, watch: Watch) -> int:
    """After the last start: calm, trading on, books equal; the number of closed trades."""
    _settle(daemon, watch)

    def calm() -> bool:
        watch.look()
        status = daemon.status()
        return bool(status) and not status["blocked"] and status["trading_state"] == "ACTIVE"

    wait_for(calm, CALM_LIMIT_S, "no symbol is blocked any more", LOOK_S)
    before = daemon.status()["closed_trades"]

    def traded() -> bool:
        watch.look()
        return bool(daemon.status().get("closed_trades", before) > before)

    wait_for(traded, MOMENT_LIMIT_S, "a trade is closed after the restart", LOOK_S)

    def differing() -> list[str]:
        watch.look()
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


def one_order_an_intent(orders: list[dict[str, Any]]) -> None:
    """Each decision has at most one entry at the venue, under its first attempt's name."""
    ours = [order for order in orders if is_ours(order["cloid"])]
    assert len(ours) == len(orders), "orders at the venue that carry no name of ours"
    names = [order["cloid"] for order in ours]
    assert len(set(names)) == len(names), "one client id stands twice in the venue's ledger"
    seen: dict[tuple[str, str], str] = {}
    for order in ours:
        if order["reduce_only"]:
            continue
        coin, bar, attempt = _decision_of(order)
        assert attempt == 0, f"an entry of {coin} {bar} was sent again: {order['cloid']}"
        other = seen.setdefault((coin, bar), order["cloid"])
        assert other == order["cloid"], f"two entries for {coin} {bar}: {other}, {order['cloid']}"


def _decision_of(order: dict[str, Any]) -> tuple[str, str, int]:
    """(coin, bar close, attempt) of an entry, found again from its client id alone."""
    newest = order["at"] - order["at"] % MINUTE_MS + MINUTE_MS
    for back, number, attempt in product(range(20), range(1, TRACES_A_BAR), range(ATTEMPTS)):
        close = datetime.fromtimestamp((newest - back * MINUTE_MS) / 1000, UTC)
        bar = f"{close:%Y%m%dT%H%M}"
        trace = TraceId(f"{order['coin']}-{bar}-{number}")
        if client_id(trace, Leg.ENTRY, attempt) == order["cloid"]:
            return order["coin"], bar, attempt
    raise AssertionError(f"an entry of no decision: {order['cloid']} in {order['coin']}")


# --- looking at the ledger's file, which the venue's rate limit does not count --------------


def _count(path: Path, table: str) -> int:
    with closing(reading(path)) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _positions(path: Path) -> list[str]:
    return sorted(read_ledger(path).positions)
