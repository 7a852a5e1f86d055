"""Margin, liquidation, funding and fees of a linear perpetual, in Decimal.

Owns the venue's formulas; refuses to know orders, accounts on the wire, and time.
Sources: Hyperliquid docs "Margining", "Margin tiers", "Liquidations", "Funding", "Fees".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from bot.domain.instrument import MarginTier
from bot.domain.types import ZERO

FEE_STEP = Decimal("0.000001")  # each fee component is truncated to 6 decimals
INTEREST_8H = Decimal("0.0001")  # interest part of funding, for 8 hours
FUNDING_CLAMP = Decimal("0.0005")
FUNDING_CAP_HOURLY = Decimal("0.04")
BACKSTOP_SHARE = Decimal(2) / Decimal(3)  # of maintenance; below it the backstop takes over
LARGE_USD = Decimal(100_000)  # of a larger position only a part is liquidated at first
LARGE_PART = Decimal("0.2")


@dataclass(frozen=True, slots=True)
class Rate:
    """One maintenance tier: from `lower_bound` on, margin = notional * rate - deduction."""

    lower_bound: Decimal
    rate: Decimal
    deduction: Decimal


def maintenance_rates(tiers: Sequence[MarginTier]) -> tuple[Rate, ...]:
    """Maintenance tiers, lowest first: rate 1 / (2 * max leverage), with deductions.

    deduction(n) = deduction(n-1) + lower_bound(n) * (rate(n) - rate(n-1)), so that the
    margin is continuous where one tier ends and the next begins.
    """
    rates: list[Rate] = []
    for tier in tiers:
        rate = 1 / Decimal(2 * tier.max_leverage)
        deduction = ZERO
        if rates:
            last = rates[-1]
            deduction = last.deduction + tier.lower_bound * (rate - last.rate)
        rates.append(Rate(tier.lower_bound, rate, deduction))
    return tuple(rates)


def initial_margin(size: Decimal, mark: Decimal, leverage: int) -> Decimal:
    """Margin to open `size` (either sign) at `mark`."""
    return abs(size) * mark / leverage


def maintenance_margin(notional: Decimal, tiers: Sequence[MarginTier]) -> Decimal:
    """Equity below which a position of `notional` USD (positive) is liquidated."""
    return max(_margin_at(notional, rate) for rate in maintenance_rates(tiers))


def max_leverage_at(notional: Decimal, tiers: Sequence[MarginTier]) -> int:
    """The leverage that the tier of `notional` allows."""
    allowed = tiers[0].max_leverage
    for tier in tiers:
        if notional >= tier.lower_bound:
            allowed = tier.max_leverage
    return allowed


def liquidation_price(
    size: Decimal, mark: Decimal, margin: Decimal, tiers: Sequence[MarginTier]
) -> Decimal | None:
    """The mark at which equity falls to maintenance; None where no positive price does it.

    `size` is signed; `margin` is the equity that stands behind this position at `mark`:
    isolated margin, or the cross account's value less the maintenance of its other
    positions. liq = mark - side * (margin - maintenance) / |size| / (1 - l * side), with
    the l of the tier that holds at the liquidation price.
    """
    if size == 0:
        return None
    side = 1 if size > 0 else -1
    quantity = abs(size)
    rates = maintenance_rates(tiers)
    price = ZERO
    for position, rate in enumerate(rates):
        available = margin - _margin_at(quantity * mark, rate)
        price = mark - side * available / quantity / (1 - rate.rate * side)
        last = position + 1 == len(rates)
        if last or quantity * price < rates[position + 1].lower_bound:
            break
    return price if price > 0 else None


def liquidated_size(size: Decimal, mark: Decimal, lot: Decimal) -> Decimal:
    """How much of a position of `size` (positive) goes to the book first, in whole lots.

    All of it, or a fifth of one that is larger than 100,000 USD at `mark` (docs,
    "Liquidations"; during the 30 s after such a part the caller sends all).
    """
    if size * mark <= LARGE_USD:
        return size
    return max(lot, (size * LARGE_PART).quantize(lot, rounding=ROUND_DOWN))


def isolated_margin(raw_usd: Decimal, size: Decimal, mark: Decimal) -> Decimal:
    """Equity of an isolated position: its cash (net of cost) plus its signed value."""
    return raw_usd + size * mark


def unrealized(size: Decimal, entry: Decimal, mark: Decimal) -> Decimal:
    """Open profit of a signed `size`."""
    return size * (mark - entry)


def fee(notional: Decimal, rate: Decimal) -> Decimal:
    """Fee of one fill: truncated to 6 decimals."""
    return (notional * rate).quantize(FEE_STEP, rounding=ROUND_DOWN)


def funding_rate(premium: Decimal) -> Decimal:
    """Hourly rate from the average premium: (P + clamp(interest - P)) / 8, capped."""
    spread = min(FUNDING_CLAMP, max(-FUNDING_CLAMP, INTEREST_8H - premium))
    hourly = (premium + spread) / 8
    return min(FUNDING_CAP_HOURLY, max(-FUNDING_CAP_HOURLY, hourly))


def funding_payment(size: Decimal, oracle: Decimal, rate: Decimal) -> Decimal:
    """What the holder of a signed `size` receives; negative is paid (longs, rate > 0)."""
    return -(size * oracle * rate)


@dataclass(frozen=True, slots=True)
class Netted:
    """A position after a fill; `closed_pnl` is gross of fees."""

    size: Decimal
    entry: Decimal
    closed: Decimal  # quantity that was closed, >= 0
    closed_pnl: Decimal


def net(size: Decimal, entry: Decimal, change: Decimal, price: Decimal) -> Netted:
    """Fold a signed `change` at `price` into a signed position (one-way netting)."""
    after = size + change
    if size == 0 or (size > 0) == (change > 0):
        average = (abs(size) * entry + abs(change) * price) / abs(after)
        return Netted(after, average, ZERO, ZERO)
    closed = min(abs(size), abs(change))
    pnl = closed * (price - entry) * (1 if size > 0 else -1)
    if after == 0:
        return Netted(ZERO, ZERO, closed, pnl)
    flipped = (after > 0) != (size > 0)
    return Netted(after, price if flipped else entry, closed, pnl)


def _margin_at(notional: Decimal, rate: Rate) -> Decimal:
    return notional * rate.rate - rate.deduction
