"""A book around a mid price and the rules by which orders meet it.

Owns ladders, price-time matching, triggers and the reduce-only rules; refuses to know
accounts, protocols and randomness (the shape of the liquidity is an argument).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from bot.domain.instrument import Instrument
from bot.domain.types import ZERO

BPS = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Level:
    """Liquidity of the book at one price."""

    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True)
class Book:
    """Liquidity on both sides, best price first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    def facing(self, is_buy: bool) -> tuple[Level, ...]:
        """The levels which an order of this side takes from."""
        return self.asks if is_buy else self.bids


@dataclass(frozen=True, slots=True)
class Resting:
    """An order that waits in the book; a smaller `id` is older."""

    id: int
    owner: str
    is_buy: bool
    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True)
class Take:
    """One execution; `maker` is the resting order met, None for the ladder."""

    price: Decimal
    size: Decimal
    maker: int | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """What an order met: executions, what is left of it, and the book afterwards.

    `own` are resting orders of the same owner that stood in the way; they are cancelled
    instead of traded with.
    """

    takes: tuple[Take, ...]
    remaining: Decimal
    own: tuple[int, ...]
    book: Book

    @property
    def filled(self) -> Decimal:
        return sum((take.size for take in self.takes), ZERO)


def touch(
    instrument: Instrument, mid: Decimal, half_spread_bps: Decimal
) -> tuple[Decimal, Decimal]:
    """Best bid and ask around `mid`, rounded away from it; bid < mid < ask."""
    half = mid * half_spread_bps * BPS
    low, high = _ticks(instrument, mid)
    bid = _floor(mid - half, low)
    ask = _ceil(mid + half, high)
    if bid >= mid and mid > low:
        bid = mid - low
    if ask <= mid:
        ask = _ceil(mid + high, high)
    return max(bid, low), ask


def ladder(
    instrument: Instrument,
    mid: Decimal,
    half_spread_bps: Decimal,
    depth_usd: Decimal,
    weights: Sequence[tuple[Decimal, Decimal]],
) -> Book:
    """Build a book of len(weights) levels a side, `depth_usd` in all on each.

    `weights` are (bid, ask) shares of the depth, best level first; each side sums to 1.
    Levels lie one half spread apart, at least one tick.
    """
    bid, ask = touch(instrument, mid, half_spread_bps)
    low, high = _ticks(instrument, mid)
    half = mid * half_spread_bps * BPS
    step_down, step_up = max(low, _floor(half, low)), max(high, _floor(half, high))
    bids: list[Level] = []
    asks: list[Level] = []
    for number, (bid_share, ask_share) in enumerate(weights):
        below = bid - number * step_down
        if below > 0:
            bids.append(_level(instrument, below, depth_usd * bid_share))
        asks.append(_level(instrument, ask + number * step_up, depth_usd * ask_share))
    return Book(tuple(bids), tuple(asks))


def crosses(is_buy: bool, limit: Decimal, price: Decimal) -> bool:
    """Whether an order with `limit` may trade at `price`."""
    return price <= limit if is_buy else price >= limit


def match(
    book: Book,
    resting: Iterable[Resting],
    *,
    owner: str,
    is_buy: bool,
    size: Decimal,
    limit: Decimal,
) -> Match:
    """Walk the other side, best price first, older before newer, orders before ladder.

    Never trades beyond `limit`, never more than `size`. What becomes of the remainder
    (rest, cancel, refuse) is the caller's rule.
    """
    sign = 1 if is_buy else -1
    queue: list[tuple[Decimal, int, int, Level | Resting]] = [
        (order.price * sign, 0, order.id, order)
        for order in resting
        if order.is_buy != is_buy and crosses(is_buy, limit, order.price)
    ]
    levels = book.facing(is_buy)
    queue += [
        (level.price * sign, 1, number, level)
        for number, level in enumerate(levels)
        if crosses(is_buy, limit, level.price)
    ]
    queue.sort(key=lambda entry: entry[:3])
    left, takes, own = size, [], []
    eaten: dict[int, Decimal] = {}
    for _, _, number, source in queue:
        if left <= 0:
            break
        if isinstance(source, Resting) and source.owner == owner:
            own.append(source.id)
            continue
        taken = min(left, source.size)
        left -= taken
        maker = source.id if isinstance(source, Resting) else None
        takes.append(Take(source.price, taken, maker))
        if maker is None:
            eaten[number] = taken
    return Match(tuple(takes), left, tuple(own), _without(book, is_buy, eaten))


def average_price(takes: Sequence[Take]) -> Decimal:
    """Size-weighted price of executions; raises ValueError when there are none."""
    filled = sum((take.size for take in takes), ZERO)
    if filled == 0:
        raise ValueError("average price of no executions")
    return sum((take.size * take.price for take in takes), ZERO) / filled


def is_triggered(*, is_buy: bool, is_stop: bool, trigger: Decimal, mark: Decimal) -> bool:
    """Whether `mark` sets off a trigger order.

    A buying stop and a selling target wait for a rise, the other two for a fall.
    """
    return mark >= trigger if is_buy == is_stop else mark <= trigger


def reducible(position: Decimal, is_buy: bool, size: Decimal) -> Decimal:
    """How much of a reduce-only order may trade against a signed position; 0 refuses it."""
    if position == 0 or (position > 0) == is_buy:
        return ZERO
    return min(size, abs(position))


def kept_reduce_only(position: Decimal, orders: Sequence[Resting]) -> dict[int, Decimal]:
    """Size that each resting reduce-only order keeps, by id; 0 means it is cancelled.

    Newest first they share the position: together they never exceed it, and the older
    ones give way.
    """
    left = abs(position)
    kept: dict[int, Decimal] = {}
    for order in sorted(orders, key=lambda order: -order.id):
        size = min(reducible(position, order.is_buy, order.size), left)
        kept[order.id] = size
        left -= size
    return kept


def _ticks(instrument: Instrument, mid: Decimal) -> tuple[Decimal, Decimal]:
    """Steps that stay valid downwards and upwards, across a power of ten too."""
    return instrument.tick(mid), instrument.tick(mid * Decimal("1.1"))


def _floor(price: Decimal, tick: Decimal) -> Decimal:
    return (price / tick).to_integral_value(ROUND_FLOOR) * tick


def _ceil(price: Decimal, tick: Decimal) -> Decimal:
    return (price / tick).to_integral_value(ROUND_CEILING) * tick


def _level(instrument: Instrument, price: Decimal, usd: Decimal) -> Level:
    return Level(price, max(instrument.round_size(usd / price), instrument.lot))


def _without(book: Book, is_buy: bool, eaten: dict[int, Decimal]) -> Book:
    if not eaten:
        return book
    left = tuple(
        Level(level.price, level.size - eaten.get(number, ZERO))
        for number, level in enumerate(book.facing(is_buy))
        if level.size > eaten.get(number, ZERO)
    )
    return Book(book.bids, left) if is_buy else Book(left, book.asks)
