"""The market of the moment: mids, oracle, books, funding rates.

Owns what the venue says of prices now; knows no account. Everything is derived from the
source, the seed and the tick number, so a restart finds the same market.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from bot.domain.instrument import Instrument
from bot.domain.margin import funding_rate
from bot.domain.matching import Book, ladder, touch
from bot.domain.types import Ms
from bot.simulator.bars import PriceSource, Quote
from bot.simulator.conditions import USUAL, Conditions
from bot.simulator.options import SimulatorOptions

HOUR_MS = 3_600_000
LEVELS = 20  # a side, as many as the venue shows
LEVEL_SHARE = 1 / Decimal(sum(range(2, LEVELS + 2)))
ORACLE_NOISE = Decimal("0.0003")  # the oracle lies within this of the mid
PREMIUM = Decimal("0.0009")  # and an hour's average premium within this of 0
PREMIUM_STEP = Decimal("1e-10")
FUNDING_JITTER_MS = (11, 1_356)  # after the full hour, as recorded (facts 1.2)
MASK = (1 << 64) - 1


def noise(*keys: int) -> int:
    """64 bits that depend on `keys` alone (splitmix64 over them)."""
    state = 0
    for key in keys:
        state = (state ^ key) + 0x9E3779B97F4A7C15 & MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & MASK
        state ^= state >> 31
    return state


def share(bits: int) -> Decimal:
    """Bits as a number in [-1, 1) with 4 decimals."""
    return Decimal(bits % 20_000 - 10_000).scaleb(-4)


class Prices:
    """Mids, marks, oracles and books at one tick."""

    def __init__(
        self,
        source: PriceSource,
        options: SimulatorOptions,
        index: int,
        conditions: Conditions,
    ) -> None:
        self.source = source
        self.index = index
        self.instruments = dict(source.instruments)
        self.coins = tuple(self.instruments)
        self._seed = options.seed
        self._half_spread = Decimal(str(options.half_spread_bps))
        self._depth = Decimal(str(options.depth_usd))
        self._conditions = conditions
        self._float: dict[str, float] = {}
        self._mid: dict[str, Decimal] = {}
        self._books: dict[str, Book] = {}
        self._premiums: dict[tuple[str, int], Decimal] = {}
        for coin in self.coins:
            self._set(coin, source.last_price(coin, index))

    def advance(self, index: int) -> list[Quote]:
        """Go to a tick; returns the coins that have a new price."""
        self.index = index
        quotes = list(self.source.quotes(index))
        if self._conditions.halted:  # a halted market has no new price
            quotes = [each for each in quotes if each.coin not in self._conditions.halted]
        for quote in quotes:
            self._set(quote.coin, quote.price)
        return quotes

    def asset(self, number: int) -> Instrument | None:
        """The market of an asset id."""
        if not 0 <= number < len(self.coins):
            return None
        return self.instruments[self.coins[number]]

    def shown(self, coin: str) -> float:
        """The mid as a float whose shortest form is exact."""
        return self._float[coin]

    def mid(self, coin: str) -> Decimal:
        """The middle of the seeded book."""
        found = self._mid.get(coin)
        if found is None:
            found = self._mid[coin] = Decimal(repr(self._float[coin]))
        return found

    def mark(self, coin: str) -> Decimal:
        """Mark price: margin and triggers go by it; the mid, unless a script holds them apart."""
        apart = self._conditions.apart.get(coin)
        if apart is None:
            return self.mid(coin)
        return self.instruments[coin].round_price(self.mid(coin) * (1 + apart), ROUND_HALF_EVEN)

    def oracle(self, coin: str) -> Decimal:
        """Oracle price: the mid with a small seeded noise."""
        rules = self.instruments[coin]
        part = share(noise(self._seed, 1, rules.asset_id, self.index)) * ORACLE_NOISE
        return rules.round_price(self.mid(coin) * (1 + part), ROUND_HALF_EVEN)

    def touch(self, coin: str) -> tuple[Decimal, Decimal]:
        """Best bid and ask of the seeded book, as far as it has not been eaten."""
        book = self._books.get(coin)
        if book is None:
            return touch(self.instruments[coin], self.mid(coin), self._half_spread)
        bid, ask = touch(self.instruments[coin], self.mid(coin), self._half_spread)
        return (
            book.bids[0].price if book.bids else bid,
            book.asks[0].price if book.asks else ask,
        )

    def book(self, coin: str) -> Book:
        """The seeded book of this tick, less what was taken from it."""
        found = self._books.get(coin)
        if found is None:
            found = self._books[coin] = self._ladder(coin, LEVELS)
        return found

    def top(self, coin: str) -> Book:
        """The best level of each side of `book`, without building the rest."""
        return self._books.get(coin) or self._ladder(coin, 1)

    def eaten(self, coin: str, book: Book) -> None:
        """Keep what is left of a book until the next tick."""
        self._books[coin] = book

    def forget_books(self) -> None:
        """Build every book anew: what shapes them has changed."""
        self._books.clear()

    def rate(self, coin: str, hour: int) -> Decimal:
        """Hourly funding rate charged at the full hour `hour` (ms)."""
        if coin in self._conditions.funding:
            return self._conditions.funding[coin]
        return funding_rate(self.premium(coin, hour))

    def premium(self, coin: str, hour: int) -> Decimal:
        """Average premium of the hour that ends at `hour` (ms): mostly small, seeded."""
        key = (coin, hour)
        found = self._premiums.get(key)
        if found is None:
            bits = share(noise(self._seed, 2, self.instruments[coin].asset_id, hour // HOUR_MS))
            if len(self._premiums) > 50 * len(self.coins):
                self._premiums.clear()
            found = self._premiums[key] = (bits**3 * PREMIUM).quantize(PREMIUM_STEP)
        return found

    def _set(self, coin: str, price: float) -> None:
        self._float[coin] = price
        self._mid.pop(coin, None)
        self._books.pop(coin, None)

    def _weights(self, rules: Instrument, levels: int) -> list[tuple[Decimal, Decimal]]:
        """Shares of the depth of the first levels: deeper away from the mid, a little uneven."""
        start = self.index * 32
        shares = []
        for number in range(levels):
            usual = (number + 2) * LEVEL_SHARE
            bid, ask = (
                usual * (3 + share(noise(self._seed, side, rules.asset_id, start + number))) / 3
                for side in (3, 4)
            )
            shares.append((bid, ask))
        return shares

    def _ladder(self, coin: str, levels: int) -> Book:
        rules = self.instruments[coin]
        factor = self._conditions.depth.get(coin, USUAL)
        if factor == 0:
            return Book((), ())
        weights = self._weights(rules, levels)
        return ladder(rules, self.mid(coin), self._half_spread, self._depth * factor, weights)


def funding_due(hour: int, seed: int) -> Ms:
    """When the funding of the full hour `hour` is booked: a jitter later."""
    first, last = FUNDING_JITTER_MS
    return Ms(hour + first + noise(seed, 5, hour // HOUR_MS) % (last - first))
