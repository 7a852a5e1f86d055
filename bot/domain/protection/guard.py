"""What care does for an open position: break-even, trail, time stop, and the stop itself.

Knows no venue and sends nothing: a `Guard` and a price give a new guard and one step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from bot.domain.errors import InvariantBroken
from bot.domain.types import (
    ExitReason,
    Market,
    Ms,
    Position,
    Side,
    Symbol,
)


@dataclass(frozen=True, slots=True)
class ProtectionPolicy:
    """When care moves or closes. `_r` in risk distances, `_s` machine time, `_ms` market time."""

    time_stop_ms: int
    break_even_r: float = 1.0
    round_trip_fee_frac: float = 0.0009
    trail_from_r: float = 1.5
    trail_atr: float = 2.0
    trail_step_r: float = 0.25
    trail_spacing_s: float = 30.0
    through_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Guard:
    """State of care for one position; prices as floats, `stop` as it rests at the venue."""

    symbol: Symbol
    side: Side
    entry: float
    stop: float
    initial_stop: float
    opened_at: Ms
    best: float
    target: float | None = None
    break_even_done: bool = False
    last_moved_at: float | None = None  # monotonic s
    stop_through_since: float | None = None  # monotonic s
    target_through_since: float | None = None  # monotonic s
    closing_since: float | None = None  # monotonic s of the last CloseNow

    @property
    def risk(self) -> float:
        """Distance of the first stop from entry: one R, in price."""
        return abs(self.entry - self.initial_stop)


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing to do."""


@dataclass(frozen=True, slots=True)
class MoveStop:
    """Place a new stop at `price`, see it resting, then call `moved`."""

    price: float
    why: str  # "break_even" or "trail"


@dataclass(frozen=True, slots=True)
class CloseNow:
    """Send an exit now; told again every `through_s` while it stays necessary."""

    reason: ExitReason


Step = Hold | MoveStop | CloseNow


def guard_for(position: Position, stop: Decimal, target: Decimal | None) -> Guard:
    """Begin to guard a position whose stop was placed at `stop`."""
    entry = float(position.entry_price)
    return Guard(
        symbol=position.symbol,
        side=position.side,
        entry=entry,
        stop=float(stop),
        initial_stop=float(stop),
        opened_at=position.opened_at,
        best=entry,
        target=None if target is None else float(target),
    )


def next_step(
    guard: Guard,
    market: Market,
    atr: float,
    now: Ms,
    monotonic: float,
    policy: ProtectionPolicy,
) -> tuple[Guard, Step]:
    """Take one price. Priority: through the stop, through the target, time stop, move.

    `atr` of the decision timeframe (0 or NaN: no trail). The returned guard's `stop` is still
    the old one after a MoveStop: `moved` sets it once the new stop rests. A CloseNow is told
    again every `through_s` while it stays necessary; the caller counts the attempts.
    """
    mark, sign = market.mark, guard.side.sign
    if not (math.isfinite(mark) and mark > 0):
        return guard, Hold()
    through_target = guard.target is not None and (mark - guard.target) * sign >= 0
    guard = replace(
        guard,
        best=max(guard.best, mark) if sign > 0 else min(guard.best, mark),
        stop_through_since=_since(
            guard.stop_through_since, (mark - guard.stop) * sign <= 0, monotonic
        ),
        target_through_since=_since(guard.target_through_since, through_target, monotonic),
    )
    reason = _closing(guard, now, monotonic, policy)
    if reason is not None:
        return _close(guard, reason, monotonic, policy)
    guard = replace(guard, closing_since=None)
    move = _move(guard, mark, atr, monotonic, policy)
    if move is None:
        return guard, Hold()
    return replace(guard, last_moved_at=monotonic), move


def moved(guard: Guard, price: float) -> Guard:
    """Note that a stop now rests at `price`; one that would loosen is ignored."""
    if (price - guard.stop) * guard.side.sign <= 0:
        return guard
    past_entry = (price - guard.entry) * guard.side.sign >= 0
    return replace(
        guard,
        stop=price,
        break_even_done=guard.break_even_done or past_entry,
        stop_through_since=None,
    )


def rested(guard: Guard, asked: Decimal, at: Decimal) -> Guard:
    """Note that the stop asked for at `asked` rests at `at`, on the venue's tick.

    A guard whose stop was moved meanwhile keeps it.
    """
    wished, rests = float(asked), float(at)
    if guard.stop != wished:
        return guard
    first = rests if guard.initial_stop == wished else guard.initial_stop
    return replace(guard, stop=rests, initial_stop=first)


def stop_reason(guard: Guard) -> ExitReason:
    """What a fill of the resting stop means: STOP, or TRAIL once it was moved."""
    return ExitReason.STOP if guard.stop == guard.initial_stop else ExitReason.TRAIL


def guard_to_mapping(guard: Guard) -> dict[str, object]:
    """JSON-able form; the monotonic fields stay behind."""
    return {
        "symbol": guard.symbol,
        "side": guard.side.value,
        "entry": guard.entry,
        "stop": guard.stop,
        "initial_stop": guard.initial_stop,
        "opened_at": int(guard.opened_at),
        "best": guard.best,
        "target": guard.target,
        "break_even_done": guard.break_even_done,
    }


def guard_from_mapping(stored: Mapping[str, object]) -> Guard:
    """Read a guard back. Raises InvariantBroken when the mapping is not one."""
    try:
        target = stored["target"]
        return Guard(
            symbol=Symbol(str(stored["symbol"])),
            side=Side(str(stored["side"])),
            entry=float(str(stored["entry"])),
            stop=float(str(stored["stop"])),
            initial_stop=float(str(stored["initial_stop"])),
            opened_at=Ms(int(str(stored["opened_at"]))),
            best=float(str(stored["best"])),
            target=None if target is None else float(str(target)),
            break_even_done=stored["break_even_done"] is True,
        )
    except (KeyError, ValueError) as error:
        raise InvariantBroken(
            f"stored guard of {stored.get('symbol')} cannot be read: {error!r}"
        ) from error


def _since(since: float | None, holds: bool, monotonic: float) -> float | None:
    if not holds:
        return None
    return monotonic if since is None else since


def _closing(
    guard: Guard, now: Ms, monotonic: float, policy: ProtectionPolicy
) -> ExitReason | None:
    """Why the position must be closed now, if it must."""
    for since, reason in (
        (guard.stop_through_since, stop_reason(guard)),
        (guard.target_through_since, ExitReason.TARGET),
    ):
        if since is not None and monotonic - since >= policy.through_s:
            return reason
    if now - guard.opened_at >= policy.time_stop_ms:
        return ExitReason.TIME_STOP
    return None


def _close(
    guard: Guard, reason: ExitReason, monotonic: float, policy: ProtectionPolicy
) -> tuple[Guard, Step]:
    told = guard.closing_since
    if told is not None and monotonic - told < policy.through_s:
        return guard, Hold()
    return replace(guard, closing_since=monotonic), CloseNow(reason)


def _move(
    guard: Guard, mark: float, atr: float, monotonic: float, policy: ProtectionPolicy
) -> MoveStop | None:
    """The best allowed stop, if it tightens by enough and lies on the right side of the mark."""
    spaced = (
        guard.last_moved_at is None or monotonic - guard.last_moved_at >= policy.trail_spacing_s
    )
    if not spaced or guard.risk <= 0:
        return None
    sign = guard.side.sign
    for price, why, least in (
        (_trail(guard, atr, policy), "trail", policy.trail_step_r * guard.risk),
        (_break_even(guard, policy), "break_even", 0.0),
    ):
        if price is None:
            continue
        gain = (price - guard.stop) * sign
        if gain > 0 and gain >= least and (mark - price) * sign > 0:
            return MoveStop(price, why)
    return None


def _trail(guard: Guard, atr: float, policy: ProtectionPolicy) -> float | None:
    reached = (guard.best - guard.entry) * guard.side.sign
    if not (math.isfinite(atr) and atr > 0) or reached < policy.trail_from_r * guard.risk:
        return None
    return guard.best - guard.side.sign * policy.trail_atr * atr


def _break_even(guard: Guard, policy: ProtectionPolicy) -> float | None:
    reached = (guard.best - guard.entry) * guard.side.sign
    if guard.break_even_done or reached < policy.break_even_r * guard.risk:
        return None
    return guard.entry * (1 + guard.side.sign * policy.round_trip_fee_frac)
