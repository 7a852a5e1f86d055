"""kill -9 at seeded moments beside an exchange that lives on: nothing doubled, nothing naked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path

import pytest

from bot.domain.orders import client_id
from bot.domain.types import Leg, TraceId
from tests.scenarios.kills import BUSY, KillRun, Moment, kill_run, one_order_an_intent

SPEED = 120  # market seconds in one: a signal outlives the way of a decision on a slow machine
SEEDS = (1, 2, 3, 4, 5)
UNDER_FAULTS = (2, 5)
MOMENTS = tuple(islice(cycle(Moment), 10))  # of each chain
AT_ONCE = 3  # they mostly wait for a moment


@pytest.mark.timeout(600)  # five chains of eleven lives each
def test_fifty_kills_leave_no_trace_at_the_venue(tmp_path: Path) -> None:
    """One order an intent, a stop within 10 s of each restart, equal books; and it trades on."""

    def run(seed: int) -> KillRun:
        turned = MOMENTS[seed:] + MOMENTS[:seed]
        faults = seed in UNDER_FAULTS
        return kill_run(tmp_path / str(seed), seed, turned, SPEED, BUSY, faults=faults)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(run, SEEDS))
    assert sum(len(run.kills) for run in runs) == len(SEEDS) * len(MOMENTS)
    assert sum(run.naked for run in runs) >= len(UNDER_FAULTS)  # else the repair was not shown


# --- the judge itself -----------------------------------------------------------------------

BAR = 1_700_000_040_000  # 2023-11-14T22:14Z


def entry(trace: str, attempt: int = 0, leg: Leg = Leg.ENTRY) -> dict[str, object]:
    cloid = client_id(TraceId(trace), leg, attempt)
    return {"coin": "BTC", "at": BAR + 900, "reduce_only": False, "cloid": cloid}


@pytest.mark.parametrize(
    ("orders", "told"),
    [
        (["BTC-20231114T2214-1", "BTC-20231114T2214-2"], "two entries for BTC 20231114T2214"),
        (["BTC-20231114T2214-1", "BTC-20231114T2214-1"], "one client id stands twice"),
        (["ETH-20231114T2214-1"], "an entry of no decision"),
    ],
)
def test_the_judge_sees_a_second_entry(orders: list[str], told: str) -> None:
    """From client ids alone, whatever the daemon wrote down."""
    with pytest.raises(AssertionError, match=told):
        one_order_an_intent([entry(trace) for trace in orders], SPEED)


def test_the_judge_sees_an_entry_sent_again() -> None:
    """No entry is ever resent: its attempt is the first."""
    with pytest.raises(AssertionError, match="was sent again"):
        one_order_an_intent([entry("BTC-20231114T2214-1", attempt=1)], SPEED)


def test_the_judge_lets_one_entry_a_decision_pass() -> None:
    """Two bars are two decisions; what reduces may be sent as often as it takes."""
    stop = {**entry("BTC-20231114T2214-1", 3, Leg.STOP), "reduce_only": True}
    one_order_an_intent([entry("BTC-20231114T2214-2"), entry("BTC-20231114T2213-1"), stop], SPEED)


@pytest.mark.parametrize(
    ("bar", "speed"), [("20231114T2212", 1), ("20231114T2204", 60), ("20231114T2128", 300)]
)
def test_the_judge_sees_an_entry_that_came_too_late(bar: str, speed: float) -> None:
    """A bar's life and 9 s of the machine after its close it may come, and no bar later."""
    closed = round(datetime.strptime(bar, "%Y%m%dT%H%M").replace(tzinfo=UTC).timestamp() * 1000)
    last = closed + 60_000 + round(9_000 * speed)
    order = entry(f"BTC-{bar}-1")
    one_order_an_intent([{**order, "at": last}], speed)
    with pytest.raises(AssertionError, match="an entry of no decision"):
        one_order_an_intent([{**order, "at": last + 1}], speed)
