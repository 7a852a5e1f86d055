"""Care of a position: break-even, trail, time stop, the stop itself, and its proof."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.errors import InvariantBroken
from bot.domain.protection import (
    CloseNow,
    Guard,
    Hold,
    MoveStop,
    Proof,
    ProtectionPolicy,
    Step,
    guard_for,
    guard_from_mapping,
    guard_to_mapping,
    moved,
    next_step,
    protected,
    rested,
    stop_reason,
)
from bot.domain.types import (
    ExitReason,
    Market,
    Ms,
    OrderStatus,
    Position,
    Side,
    Symbol,
    TraceId,
    VenueOrder,
)

D = Decimal
BTC = Symbol("BTC")
HOUR = 3_600_000
POLICY = ProtectionPolicy(time_stop_ms=HOUR)
LONG = Position(BTC, Side.LONG, D(1), D(100), Ms(0), TraceId("t"), "s")
SHORT = replace(LONG, side=Side.SHORT)


def long_guard() -> Guard:
    return guard_for(LONG, D(98), D(110))


def short_guard() -> Guard:
    return guard_for(SHORT, D(102), D(90))


def at(mark: float) -> Market:
    return Market(BTC, mark, mark, mark, mark, 0.0, 0.0, 0.0, mark, Ms(0))


def step(
    guard: Guard, mark: float, monotonic: float = 0.0, atr: float = 0.5, now: int = 1
) -> tuple[Guard, Step]:
    return next_step(guard, at(mark), atr, Ms(now), monotonic, POLICY)


def test_at_one_r_the_stop_goes_to_break_even_plus_fees() -> None:
    """Long and short alike; before one R nothing moves."""
    assert isinstance(step(long_guard(), 101.99)[1], Hold)
    for guard, mark, price in ((long_guard(), 102.0, 100.09), (short_guard(), 98.0, 99.91)):
        _, told = step(guard, mark)
        assert isinstance(told, MoveStop)
        assert told.why == "break_even"
        assert told.price == pytest.approx(price)


def test_the_guard_keeps_the_old_stop_until_the_new_one_rests() -> None:
    """A move that failed must not count."""
    guard, told = step(long_guard(), 102.0)
    assert isinstance(told, MoveStop)
    assert guard.stop == 98.0
    guard = moved(guard, told.price)
    assert (guard.stop, guard.break_even_done) == (told.price, True)
    assert isinstance(step(guard, 102.0, monotonic=99.0)[1], Hold)


def test_from_one_and_a_half_r_the_stop_trails_by_two_atr() -> None:
    """Behind the best price seen, not the last."""
    guard, told = step(long_guard(), 104.0)
    assert told == MoveStop(103.0, "trail")
    guard = moved(guard, 103.0)
    guard, told = step(guard, 103.5, monotonic=100.0)
    assert isinstance(told, Hold)
    assert guard.best == 104.0
    assert isinstance(step(long_guard(), 102.99)[1], MoveStop)  # still break-even
    assert step(short_guard(), 96.0)[1] == MoveStop(97.0, "trail")


def test_the_trail_moves_in_steps() -> None:
    """A quarter of R (0.5 here) at least; the address has a budget of requests."""
    guard = moved(step(long_guard(), 104.0)[0], 103.0)
    assert isinstance(step(guard, 104.49, monotonic=100.0)[1], Hold)
    assert step(guard, 104.5, monotonic=100.0)[1] == MoveStop(103.5, "trail")


def test_moves_are_thirty_seconds_apart() -> None:
    """Machine time, counted from the last try."""
    guard = moved(step(long_guard(), 104.0, monotonic=10.0)[0], 103.0)
    assert isinstance(step(guard, 106.0, monotonic=39.9)[1], Hold)
    assert isinstance(step(guard, 106.0, monotonic=40.0)[1], MoveStop)


@pytest.mark.parametrize("atr", [0.0, math.nan, -1.0])
def test_without_an_atr_there_is_no_trail(atr: float) -> None:
    """Break-even needs none."""
    _, told = step(long_guard(), 104.0, atr=atr)
    assert isinstance(told, MoveStop)
    assert told.why == "break_even"


def test_no_stop_is_placed_on_the_wrong_side_of_the_mark() -> None:
    """Price came back through break-even: a stop there would fire at once, or be refused."""
    guard = replace(long_guard(), best=102.5)
    assert isinstance(step(guard, 100.05)[1], Hold)


@pytest.mark.parametrize("mark", [0.0, -1.0, math.nan, math.inf])
def test_a_price_that_is_none_changes_nothing(mark: float) -> None:
    """Neither best price nor stop."""
    guard = long_guard()
    assert step(guard, mark) == (guard, Hold())


def test_through_the_stop_for_two_seconds_without_a_fill_closes() -> None:
    """The venue's stop did not do it, so care does; told again while it lasts."""
    guard, told = step(long_guard(), 98.0, monotonic=5.0)
    assert isinstance(told, Hold)
    guard, told = step(guard, 97.5, monotonic=6.9)
    assert isinstance(told, Hold)
    guard, told = step(guard, 97.5, monotonic=7.0)
    assert told == CloseNow(ExitReason.STOP)
    guard, told = step(guard, 97.5, monotonic=8.0)
    assert isinstance(told, Hold)
    guard, told = step(guard, 97.5, monotonic=9.0)
    assert told == CloseNow(ExitReason.STOP)


def test_a_price_that_comes_back_starts_the_two_seconds_anew() -> None:
    """A wick is the venue's to judge."""
    guard, _ = step(long_guard(), 97.9, monotonic=5.0)
    guard, _ = step(guard, 98.1, monotonic=6.0)
    guard, told = step(guard, 97.9, monotonic=7.5)
    assert isinstance(told, Hold)
    assert guard.stop_through_since == 7.5


def test_through_a_moved_stop_closes_as_trail() -> None:
    """The reason tells which stop it was."""
    guard = moved(step(long_guard(), 104.0)[0], 103.0)
    assert stop_reason(guard) is ExitReason.TRAIL
    guard, _ = step(guard, 102.9, monotonic=50.0)
    assert step(guard, 102.9, monotonic=52.0)[1] == CloseNow(ExitReason.TRAIL)


@pytest.mark.parametrize(("guard", "mark"), [(long_guard(), 110.0), (short_guard(), 90.0)])
def test_through_the_target_for_two_seconds_closes(guard: Guard, mark: float) -> None:
    """The same rule as for the stop."""
    guard, _ = step(guard, mark, monotonic=0.0)
    assert step(guard, mark, monotonic=2.0)[1] == CloseNow(ExitReason.TARGET)


def test_the_time_stop_runs_on_market_time() -> None:
    """From the opening; told every two seconds of machine time until it is done."""
    assert isinstance(step(long_guard(), 100.0, now=HOUR - 1)[1], Hold)
    guard, told = step(long_guard(), 100.0, now=HOUR)
    assert told == CloseNow(ExitReason.TIME_STOP)
    guard, told = step(guard, 100.0, monotonic=1.9, now=HOUR)
    assert isinstance(told, Hold)
    assert isinstance(step(guard, 100.0, monotonic=2.0, now=HOUR)[1], CloseNow)


walks = st.lists(st.tuples(st.floats(90, 112), st.floats(0, 60), st.floats(0, 5)), max_size=30)


@given(walks, st.booleans())
def test_protection_never_loosens(walk: list[tuple[float, float, float]], is_long: bool) -> None:
    """Over any path of prices every step tightens and lies short of the mark."""
    guard = long_guard() if is_long else short_guard()
    sign, monotonic = guard.side.sign, 0.0
    for price, wait, atr in walk:
        mark = price if is_long else 200.0 - price
        monotonic += wait
        before = guard.stop
        guard, told = step(guard, mark, monotonic, atr)
        assert guard.stop == before
        if isinstance(told, MoveStop):
            assert (told.price - before) * sign > 0
            assert (mark - told.price) * sign > 0
            guard = moved(guard, told.price)
            assert guard.stop == told.price


@given(st.floats(1, 300), st.booleans())
def test_a_loosening_report_is_ignored(price: float, is_long: bool) -> None:
    """Late or wrong news of an older stop."""
    guard = long_guard() if is_long else short_guard()
    after = moved(guard, price)
    assert (after.stop - guard.stop) * guard.side.sign >= 0


def test_a_guard_holds_the_price_at_which_its_stop_rests() -> None:
    """Rounded to the tick, either way, it is its first stop; one moved meanwhile stays."""
    for tick in (D("97.9"), D("98.1")):
        guard = rested(long_guard(), D(98), tick)
        assert (guard.stop, guard.initial_stop) == (float(tick), float(tick))
    trailing = moved(step(long_guard(), 104.0)[0], 103.0)
    assert rested(trailing, D(98), D("98.1")) == trailing
    again = rested(trailing, D(103), D("102.9"))
    assert (again.stop, again.initial_stop) == (102.9, 98.0)


def test_a_guard_survives_a_restart_without_its_machine_times() -> None:
    """Monotonic seconds of another process mean nothing."""
    guard = moved(step(long_guard(), 104.0, monotonic=5.0)[0], 103.0)
    guard, _ = step(guard, 103.0, monotonic=6.0)
    stored = json.loads(json.dumps(guard_to_mapping(guard)))
    back = guard_from_mapping(stored)
    assert back == replace(guard, last_moved_at=None, stop_through_since=None)
    without = guard_for(LONG, D(98), None)
    assert guard_from_mapping(guard_to_mapping(without)) == without
    with pytest.raises(InvariantBroken, match="BTC"):
        guard_from_mapping({"symbol": "BTC", "target": None})


# --- the stop proof ------------------------------------------------------------------


def stop(trigger: str = "98", size: str = "1", *, buys: bool = False) -> VenueOrder:
    return VenueOrder(
        BTC,
        1,
        None,
        buys,
        D("88.2"),
        D(size),
        D(size),
        True,
        D(trigger),
        True,
        False,
        OrderStatus.OPEN,
        Ms(0),
    )


@pytest.mark.parametrize(
    ("orders", "verdict"),
    [
        ([stop()], Proof.PROTECTED),
        ([stop(size="0.4"), stop(size="0.6")], Proof.PROTECTED),
        ([stop(size="0.9")], Proof.TOO_SMALL),
        ([replace(stop(size="0"), whole_position=True)], Proof.PROTECTED),
        ([], Proof.NO_STOP),
        ([stop(buys=True)], Proof.NO_STOP),
        ([replace(stop(), reduce_only=False)], Proof.NO_STOP),
        ([replace(stop(), is_stop=False)], Proof.NO_STOP),
        ([replace(stop(), trigger=None)], Proof.NO_STOP),
        ([replace(stop(), symbol=Symbol("ETH"))], Proof.NO_STOP),
        ([replace(stop(), status=OrderStatus.CANCELLED)], Proof.NO_STOP),
        ([stop(trigger="80")], Proof.BEYOND_LIQUIDATION),
        ([stop(trigger="79"), stop(size="0.5")], Proof.TOO_SMALL),
    ],
)
def test_a_position_is_protected_only_by_a_stop_that_will_work(
    orders: list[VenueOrder], verdict: Proof
) -> None:
    """Right side, reduce-only, resting, big enough, and short of liquidation at 80."""
    proof = protected(LONG, orders, D(80))
    assert proof.verdict is verdict
    assert proof.ok is (verdict is Proof.PROTECTED)


def test_a_short_is_protected_from_above() -> None:
    """Its stop buys, below its liquidation price; without one any trigger will do."""
    above = stop("102", buys=True)
    assert protected(SHORT, [above], D(120)).ok
    assert protected(SHORT, [above], D(101)).verdict is Proof.BEYOND_LIQUIDATION
    assert protected(SHORT, [above], None).ok
