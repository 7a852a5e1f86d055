"""Rules about the account and the world: may anything be opened in this symbol now?

Knows nothing of stop, target or profit (see `trade`).
"""

from __future__ import annotations

from collections.abc import Callable

from bot.domain.breakers import BreakerCode
from bot.domain.reasons import Check, CheckCode
from bot.domain.risk.case import Case
from bot.domain.sizing import exact
from bot.domain.types import ZERO, Side, Symbol, TradingState

HOUR_MS = 3_600_000

Rule = Callable[[Case], Check]


def trading_state(case: Case) -> Check:
    state = case.view.state
    return Check(
        CheckCode.TRADING_STATE,
        state is TradingState.ACTIVE,
        state.value,
        TradingState.ACTIVE.value,
    )


def _breaker(code: BreakerCode) -> Rule:
    """The rule of one breaker: what it measures, or what opened it, against its limit."""

    def rule(case: Case) -> Check:
        ok = code.value not in case.view.breakers_open
        gauge = next((each for each in case.view.gauges if each.code is code), None)
        if gauge is None:
            return Check(CheckCode(code.value), ok, "closed" if ok else "open", "closed")
        value = gauge.value if ok or gauge.opened_by is None else gauge.opened_by
        note = "" if ok else f"open, lifted by {gauge.lifted_by or 'time'}"
        return Check(CheckCode(code.value), ok, value, gauge.limit, gauge.unit, note)

    return rule


def symbol_volatility(case: Case) -> Check:
    """This symbol alone against its own past; the breaker looks at the market's middle."""
    value, limit = case.facts.volatility_x, case.limits.max_volatility_x
    if value is None:
        return Check(CheckCode.SYMBOL_VOLATILITY, True, None, limit, "x median", "too few bars")
    return Check(CheckCode.SYMBOL_VOLATILITY, value <= limit, value, limit, "x median")


def position_open(case: Case) -> Check:
    symbol = case.intent.symbol
    held = symbol in case.view.positions
    reserved = any(entry.symbol == symbol for entry in case.view.reservations)
    value = "position" if held else "entry in flight" if reserved else "flat"
    return Check(CheckCode.POSITION_OPEN, not held and not reserved, value, "flat")


def symbol_blocked(case: Case) -> Check:
    why = (case.view.blocked or {}).get(case.intent.symbol)
    if why is None and case.instrument.delisted:
        why = "delisted"
    return Check(CheckCode.SYMBOL_BLOCKED, why is None, why or "free", "free")


def max_positions(case: Case) -> Check:
    symbols = {*case.view.positions, *(entry.symbol for entry in case.view.reservations)}
    value, limit = len(symbols | {case.intent.symbol}), case.limits.max_positions
    return Check(CheckCode.MAX_POSITIONS, value <= limit, float(value), float(limit), "positions")


def exposure(case: Case) -> Check:
    value = case.view.exposure() + case.intent.notional
    limit = exact(case.limits.max_notional_x) * case.view.equity
    return Check(CheckCode.EXPOSURE, value <= limit, value, limit, "USD")


def correlation(case: Case) -> Check:
    """Count the same-side positions that move with this one; an unknown pair counts."""
    symbol, side = case.intent.symbol, case.intent.side
    sides: dict[Symbol, Side] = {p.symbol: p.side for p in case.view.positions.values()}
    sides.update({entry.symbol: entry.side for entry in case.view.reservations})
    count = 1 + sum(
        1
        for other, other_side in sides.items()
        if other != symbol and other_side is side and _moves_together(case, other)
    )
    limit = case.limits.max_correlated
    return Check(CheckCode.CORRELATION, count <= limit, float(count), float(limit), "positions")


def _moves_together(case: Case, other: Symbol) -> bool:
    value = case.view.correlation(case.intent.symbol, other)
    return value is None or not value <= case.limits.correlation_bound


def trades_per_hour(case: Case) -> Check:
    since = case.facts.now - HOUR_MS
    value = 1 + sum(1 for at in case.view.entry_times if at > since)
    limit = case.limits.trades_per_hour
    return Check(CheckCode.TRADES_PER_HOUR, value <= limit, float(value), float(limit), "entries")


def entry_spacing(case: Case) -> Check:
    limit = case.limits.entry_spacing_ms
    if not case.view.entry_times:
        return Check(CheckCode.ENTRY_SPACING, True, None, float(limit), "ms", "no entry yet")
    value = case.facts.now - max(case.view.entry_times)
    return Check(CheckCode.ENTRY_SPACING, value >= limit, float(value), float(limit), "ms")


def margin(case: Case) -> Check:
    """Margin and both fees against what is free, less what entries in flight will take."""
    intent = case.intent
    fees = 2 * case.fee * intent.notional
    value = intent.notional / intent.leverage + fees
    reserved = sum((entry.margin for entry in case.view.reservations), ZERO)
    limit = case.view.free_margin - reserved
    return Check(CheckCode.MARGIN, value <= limit, value, limit, "USD")


def spread(case: Case) -> Check:
    market, limit = case.facts.market, case.limits.max_spread_bps
    value = market.spread_bps
    ok = 0 < market.bid <= market.ask and value <= limit
    return Check(CheckCode.SPREAD, ok, value, limit, "bps")


def funding(case: Case) -> Check:
    value = case.facts.market.funding_hourly * case.intent.side.sign
    limit = case.limits.max_funding_hourly
    return Check(CheckCode.FUNDING, value <= limit, value, limit, "fraction/h", "paid by our side")


def data_fresh(case: Case) -> Check:
    """Both ages against their limits; the one told is the worse."""
    facts, limits = case.facts, case.limits
    bar_limit = limits.max_bar_ages * facts.bar_length_ms / 1_000
    mark = (facts.mark_confirmed_age_s, limits.max_mark_age_s, "mark not confirmed")
    bar = (facts.bar_age_ms / 1_000, bar_limit, "newest bar")
    mark_ok, bar_ok = mark[0] <= mark[1], bar[0] <= bar[1]
    value, limit, note = bar if mark_ok and not bar_ok else mark
    return Check(CheckCode.DATA_FRESH, mark_ok and bar_ok, value, limit, "s", note)


def venue_healthy(case: Case) -> Check:
    ok = case.facts.venue_healthy
    return Check(CheckCode.VENUE_HEALTHY, ok, "healthy" if ok else "unhealthy", "healthy")


def clock_skew(case: Case) -> Check:
    skew, limit = case.facts.clock_skew_ms, case.limits.max_clock_skew_ms
    if not case.facts.clock_known:
        note = "the venue has not told its time for too long"
        return Check(CheckCode.CLOCK_SKEW, False, None, float(limit), "ms", note)
    if skew is None:
        return Check(CheckCode.CLOCK_SKEW, True, None, float(limit), "ms", "one clock for both")
    return Check(CheckCode.CLOCK_SKEW, abs(skew) <= limit, float(skew), float(limit), "ms")


def trace_backlog(case: Case) -> Check:
    value, limit = case.facts.trace_backlog, case.limits.max_trace_backlog
    return Check(CheckCode.TRACE_BACKLOG, value <= limit, float(value), float(limit), "rows")


RULES: tuple[Rule, ...] = (
    trading_state,
    *(_breaker(code) for code in BreakerCode),
    position_open,
    symbol_blocked,
    max_positions,
    exposure,
    correlation,
    trades_per_hour,
    entry_spacing,
    margin,
    spread,
    funding,
    symbol_volatility,
    data_fresh,
    venue_healthy,
    clock_skew,
    trace_backlog,
)
