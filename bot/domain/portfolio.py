"""What we hold and what it earned: folds over fills and funding, and the account as gates see it.

Knows no venue and no order; a fill is counted once by whoever calls (key: symbol, at, fill id).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from bot.domain.breakers import Gauge
from bot.domain.errors import InvariantBroken
from bot.domain.types import (
    ZERO,
    ExitReason,
    Fill,
    Funding,
    Ms,
    Position,
    Side,
    Symbol,
    TraceId,
    Trade,
    TradingState,
)

HOUR_MS = 3_600_000
NOT_THE_VENUES = 0  # number of a fill, and of its order, that we made ourselves
TRADES_BEFORE_COMPOUNDING = 20  # spec 10, "Risk gate"


@dataclass(frozen=True, slots=True)
class Opening:
    """Whose position a fill opens, and why it ends when the fill closes it."""

    trace_id: TraceId
    strategy: str
    exit_reason: ExitReason = ExitReason.VENUE


@dataclass(frozen=True, slots=True)
class Ledger:
    """Money of the account: `baseline` is what it began with, transfers included.

    `realised` is gross of fees; `funding` is negative when paid.
    """

    baseline: Decimal
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """Profit already in the books: realised, less fees, plus funding."""
        return self.realised - self.fees + self.funding

    @property
    def cash(self) -> Decimal:
        return self.baseline + self.net


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an entry in flight will take if it fills; an UNKNOWN answer keeps it."""

    symbol: Symbol
    side: Side
    notional: Decimal
    risk_usd: Decimal
    margin: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class PortfolioView:
    """The account as sizing and the risk gate see it, at one moment.

    `capital` is the sizing base (`sizing_capital`); `free_margin` does not yet count the
    reservations; `entry_times` are market times of the entries sent or reserved in the last
    hour; `blocked` names the reason a symbol is closed to entries; `correlations` are
    (symbol, symbol, coefficient), each pair once, either way round.
    """

    equity: Decimal
    capital: Decimal
    free_margin: Decimal
    positions: Mapping[Symbol, Position]
    reservations: tuple[Reservation, ...] = ()
    entry_times: tuple[Ms, ...] = ()
    closed_trades: int = 0
    blocked: Mapping[Symbol, str] | None = None
    state: TradingState = TradingState.ACTIVE
    breakers_open: tuple[str, ...] = ()
    gauges: tuple[Gauge, ...] = ()  # each breaker's figure, open or not
    correlations: tuple[tuple[Symbol, Symbol, float], ...] = ()

    def correlation(self, one: Symbol, other: Symbol) -> float | None:
        """The coefficient of a pair; None when it is not known."""
        if one == other:
            return 1.0
        for left, right, value in self.correlations:
            if (left, right) in ((one, other), (other, one)):
                return value
        return None

    def exposure(self) -> Decimal:
        """Notional held (at entry price) and reserved, USD."""
        held = sum((p.quantity * p.entry_price for p in self.positions.values()), ZERO)
        return held + sum((r.notional for r in self.reservations), ZERO)


def apply_fill(
    position: Position | None, fill: Fill, opening: Opening
) -> tuple[Position | None, Trade | None]:
    """Fold one fill into the position of its symbol; flat gives None and the trade.

    Entry price is the average of what was added; realised is gross of fees. Raises
    InvariantBroken for a fill that turns the position round (Keel never flips) or is of
    another symbol.
    """
    side = Side.LONG if fill.is_buy else Side.SHORT
    if position is None:
        return _opened(fill, side, opening), None
    if position.symbol != fill.symbol:
        raise InvariantBroken(
            f"fill {fill.fill_id} of {fill.symbol} met the position of {position.symbol}"
        )
    if side is position.side:
        return _added(position, fill), None
    return _reduced(position, fill, opening.exit_reason)


def own_share(fill: Fill, held: Position) -> Fill:
    """The part of a closing fill that is ours, where the venue closed more than we hold.

    A position stop covers the venue's whole position; what a stranger added goes with it.
    """
    if fill.quantity <= held.quantity:
        return fill
    share = held.quantity / fill.quantity
    return replace(
        fill,
        quantity=held.quantity,
        fee=fill.fee * share,
        closed_pnl=fill.closed_pnl * share,
    )


def apply_funding(position: Position, funding: Funding) -> Position:
    """Add one funding payment. Raises InvariantBroken for another symbol's."""
    if position.symbol != funding.symbol:
        raise InvariantBroken(
            f"funding of {funding.symbol} at {funding.at} met the position of {position.symbol}"
        )
    return replace(position, funding=position.funding + funding.usd)


def payer(
    funding: Funding, position: Position | None, closed: Iterable[Trade]
) -> Position | Trade | None:
    """Who paid: the position that was open then, else the trade that ended meanwhile.

    The venue promises no order between a payment and the fill that closes the position.
    `closed`: newest first. A payment is told some moments after the hour that it is for: a
    trade may have ended in between. None: one of nobody's time, which a position opened
    later never owes.
    """
    hour = funding.at - funding.at % HOUR_MS
    if position is not None and position.opened_at <= funding.at:
        return position
    for trade in closed:
        if (
            trade.symbol == funding.symbol
            and trade.opened_at <= funding.at
            and hour <= trade.closed_at
        ):
            return trade
    return None


def written_off(position: Position, mark: Decimal, at: Ms) -> Fill:
    """The end at the mark of a position that no fill of the venue's explains; it cost no fee."""
    return Fill(
        fill_id=NOT_THE_VENUES,
        symbol=position.symbol,
        is_buy=position.side is Side.SHORT,
        quantity=position.quantity,
        price=mark,
        fee=ZERO,
        closed_pnl=to_micro_cents(unrealised(position, mark)),
        start_position=position.signed,
        at=at,
        venue_id=NOT_THE_VENUES,
    )


def unrealised(position: Position, mark: Decimal) -> Decimal:
    """Gross profit of the open part at `mark`, USD."""
    return (mark - position.entry_price) * position.quantity * position.side.sign


def booked(ledger: Ledger, fills: Iterable[Fill], fundings: Iterable[Funding] = ()) -> Ledger:
    """Add fills (the venue's closed P&L, gross) and funding payments to the ledger, once each."""
    for fill in fills:
        ledger = replace(
            ledger, realised=ledger.realised + fill.closed_pnl, fees=ledger.fees + fill.fee
        )
    for funding in fundings:
        ledger = replace(ledger, funding=ledger.funding + funding.usd)
    return ledger


def equity(
    ledger: Ledger, positions: Iterable[Position], marks: Mapping[Symbol, Decimal]
) -> Decimal:
    """Cash plus what the open positions are worth; fees of open positions are in the ledger.

    Raises InvariantBroken when a position has no mark: equity would be a guess.
    """
    total = ledger.cash
    for position in positions:
        mark = marks.get(position.symbol)
        if mark is None:
            raise InvariantBroken(f"no mark for the open position in {position.symbol}")
        total += unrealised(position, mark)
    return total


def to_micro_cents(value: Decimal) -> Decimal:
    """Cut the digits beyond the eighth decimal: they come from divisions and are no money.

    Of average prices neither; to be shown, while the books keep them exact.
    """
    exponent = value.as_tuple().exponent
    return round(value, 8) if isinstance(exponent, int) and exponent < -8 else value


def sizing_capital(
    initial: Decimal, equity_now: Decimal, realised: Decimal, closed_trades: int
) -> Decimal:
    """The base of size: INITIAL_CAPITAL, compounding only after 20 closed trades.

    `realised` is net (`Ledger.net`). Never more than the equity that is there, never
    negative (spec 10, "Risk gate").
    """
    base = initial
    if closed_trades >= TRADES_BEFORE_COMPOUNDING:
        base = initial + realised
    return max(ZERO, min(base, equity_now))


def _opened(fill: Fill, side: Side, opening: Opening) -> Position:
    return Position(
        symbol=fill.symbol,
        side=side,
        quantity=fill.quantity,
        entry_price=fill.price,
        opened_at=fill.at,
        trace_id=opening.trace_id,
        strategy=opening.strategy,
        entry_fees=fill.fee,
        max_quantity=fill.quantity,
    )


def _added(position: Position, fill: Fill) -> Position:
    quantity = position.quantity + fill.quantity
    value = position.entry_price * position.quantity + fill.price * fill.quantity
    return replace(
        position,
        quantity=quantity,
        entry_price=value / quantity,
        entry_fees=position.entry_fees + fill.fee,
        max_quantity=max(position.max_quantity, quantity),
    )


def _reduced(
    position: Position, fill: Fill, why: ExitReason
) -> tuple[Position | None, Trade | None]:
    if fill.quantity > position.quantity:
        raise InvariantBroken(
            f"fill {fill.fill_id} of {fill.quantity} {fill.symbol} would turn round a "
            f"{position.side} of {position.quantity}; halt the symbol and reconcile"
        )
    gross = (fill.price - position.entry_price) * fill.quantity * position.side.sign
    left = replace(
        position,
        quantity=position.quantity - fill.quantity,
        realised=position.realised + gross,
        exit_fees=position.exit_fees + fill.fee,
        exit_quantity=position.exit_quantity + fill.quantity,
        exit_value=position.exit_value + fill.price * fill.quantity,
    )
    if left.quantity > 0:
        return left, None
    return None, _closed(left, fill.at, ExitReason.LIQUIDATION if fill.liquidation else why)


def _closed(flat: Position, at: Ms, why: ExitReason) -> Trade:
    return Trade(
        trace_id=flat.trace_id,
        symbol=flat.symbol,
        side=flat.side,
        strategy=flat.strategy,
        quantity=flat.exit_quantity,
        entry_price=flat.entry_price,
        exit_price=flat.exit_value / flat.exit_quantity,
        opened_at=flat.opened_at,
        closed_at=at,
        gross_pnl=flat.realised,
        fees=flat.entry_fees + flat.exit_fees,
        funding=flat.funding,
        exit_reason=why,
    )
