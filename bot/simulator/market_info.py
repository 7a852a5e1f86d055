"""What the venue says of its markets: meta, contexts, books, candles, trades, funding.

Owns these answers' shapes; changes nothing and knows no account. Source: facts 1.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from bot.domain.matching import Level
from bot.domain.types import ZERO, Timeframe
from bot.simulator.accounts import Row
from bot.simulator.bars import VOLUME_UNITS, Bar, merged
from bot.simulator.prices import HOUR_MS, LEVELS, funding_due, noise
from bot.simulator.rows import side
from bot.simulator.wire import candle, number, real, volume
from bot.simulator.world import World

INTERVALS = {timeframe.value: timeframe.ms for timeframe in Timeframe}
OTHER_INTERVALS = ("3d", "1w", "1M")  # the venue's, not kept here: no rows
MOST_CANDLES = 5_000
RECENT_TRADES = 30
DAY_MS = 86_400_000
MOST_ROWS = 500  # of a time-range read
CONTEXT_MS = 900_000  # day figures are renewed this often
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Slow:
    """What a context says for an hour or a quarter of one, as text."""

    hour: int
    quarter: int
    funding: str
    premium: str
    interest: str
    before: str
    base: Decimal  # volume of a day, base units
    volume: str


class MarketInfo:
    """Answers about prices."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._slow: dict[str, Slow] = {}

    def meta(self) -> Row:
        """Names, decimals, leverage and margin tables; asset id = place."""
        universe: list[Row] = []
        tables: list[list[object]] = []
        seen: dict[object, int] = {}
        for market in self._world.prices.instruments.values():
            tiers = tuple((tier.lower_bound, tier.max_leverage) for tier in market.tiers)
            if len(tiers) == 1:
                table = market.max_leverage  # an untiered table bears its leverage as its id
            else:
                table = seen.setdefault(tiers, 51 + len(seen))
            if table not in [known[0] for known in tables]:
                rows = [{"lowerBound": number(bound), "maxLeverage": most} for bound, most in tiers]
                tables.append([table, {"description": "", "marginTiers": rows}])
            universe.append(
                {
                    "name": market.venue_symbol,
                    "szDecimals": market.size_decimals,
                    "maxLeverage": market.max_leverage,
                    "marginTableId": table,
                }
            )
            if market.venue_symbol in self._world.conditions.delisted:
                universe[-1]["isDelisted"] = True
        return {"universe": universe, "marginTables": tables, "collateralToken": 0}

    def contexts(self) -> list[Row]:
        return [self.context(coin) for coin in self._world.prices.coins]

    def context(self, coin: str) -> Row:
        """Prices, funding and day figures of one coin."""
        prices, slow = self._world.prices, self._slowly(coin)
        mark, (bid, ask) = prices.mark(coin), prices.touch(coin)
        shown, spike = real(prices.shown(coin)), self._world.conditions.funding.get(coin)
        return {
            "funding": slow.funding if spike is None else number(spike),
            "openInterest": slow.interest,
            "prevDayPx": slow.before,
            "dayNtlVlm": number((slow.base * mark).quantize(CENT, ROUND_HALF_EVEN)),
            "premium": slow.premium,
            "oraclePx": number(prices.oracle(coin)),
            "markPx": real(float(mark)),
            "midPx": shown,
            "impactPxs": [number(bid), number(ask)],
            "dayBaseVlm": slow.volume,
        }

    def mids(self) -> dict[str, str]:
        prices = self._world.prices
        return {coin: real(prices.shown(coin)) for coin in prices.coins}

    def book(self, coin: str) -> Row:
        """Both sides, at most 20 levels each, resting orders counted in."""
        book = self._world.prices.book(coin)
        levels = [self._levels(coin, book.bids, True), self._levels(coin, book.asks, False)]
        return {"coin": coin, "time": self._world.now, "levels": levels}

    def best(self, coin: str) -> Row:
        """The best level of each side."""
        book = self._world.prices.top(coin)
        sides = (self._levels(coin, book.bids, True), self._levels(coin, book.asks, False))
        tops = [rows[0] if rows else None for rows in sides]
        return {"coin": coin, "time": self._world.now, "bbo": tops}

    def candles(self, coin: str, interval: str, start: int, end: int) -> list[Row]:
        """Bars that contain or lie between two moments, the one forming last."""
        length = INTERVALS.get(interval)
        if length is None or coin not in self._world.prices.instruments:
            return []
        rows = self._bars(coin, length, start, min(end, self._world.now))
        return [candle(coin, interval, length, bar) for bar in rows[-MOST_CANDLES:]]

    def prepare(self, coin: str, interval: str, start: int, end: int) -> Iterator[None]:
        """Do the heavy part of `candles` in steps."""
        length = INTERVALS.get(interval)
        if length is None or coin not in self._world.prices.instruments:
            return iter(())
        first = max(start - start % length, self._world.source.oldest(length))
        return self._world.source.prepare(coin, length, first, min(end, self._world.now))

    def trades(self, coin: str) -> list[Row]:
        """The public trades of the last ticks, newest first: one a tick."""
        index = self._world.index
        found = []
        for tick in range(index, max(index - RECENT_TRADES, -1), -1):
            at = self._world.source.tick_at(tick)
            quote = next((q for q in self._world.source.quotes(tick) if q.coin == coin), None)
            if at is not None and quote is not None:
                found.append(self.trade(coin, tick, at, quote.price, quote.volume))
        return found

    def trade(self, coin: str, tick: int, at: int, price: float, units: int) -> Row:
        """The public trade that stands for what was traded at one tick."""
        market = self._world.prices.instruments[coin]
        seed = self._world.options.seed
        bits = noise(seed, 7, market.asset_id, tick)
        buyer, seller = noise(bits, 1), noise(bits, 2)
        return {
            "coin": coin,
            "side": side(price >= self._world.source.last_price(coin, tick - 1)),
            "px": real(price),
            "sz": volume(units),
            "time": at,
            "hash": f"0x{noise(bits, 3):016x}{noise(bits, 4):016x}{noise(bits, 5):032x}",
            "tid": bits >> 14,
            "users": [f"0x{buyer:040x}", f"0x{seller:040x}"],
        }

    def funding_history(self, coin: str, start: int, end: int) -> list[Row]:
        """Hourly rates, oldest first, at most 500; the past follows the same rule."""
        world = self._world
        start = max(start, world.source.oldest(HOUR_MS))
        found: list[Row] = []
        for hour in range(start - start % HOUR_MS, min(end, world.next_funding - 1) + 1, HOUR_MS):
            at = funding_due(hour, world.options.seed)
            if start <= at <= end:
                rate, premium = world.prices.rate(coin, hour), world.prices.premium(coin, hour)
                found.append(
                    {
                        "coin": coin,
                        "fundingRate": number(rate),
                        "premium": number(premium),
                        "time": at,
                    }
                )
        return found[:MOST_ROWS]

    # --- parts ------------------------------------------------------------------------

    def _bars(self, coin: str, length: int, start: int, end: int) -> list[Bar]:
        source, index = self._world.source, self._world.index
        forming = source.forming(coin, index)
        if forming is None or length % source.base_ms:
            return []
        first = max(start - start % length, source.oldest(length))
        first = max(first, end - end % length - (MOST_CANDLES - 1) * length)
        last = end - end % length + length
        rows = source.closed(coin, length, first, min(last, forming.t))
        bucket = forming.t - forming.t % length
        if not first <= bucket < last:
            return rows
        if rows and rows[-1].t == bucket:
            rows[-1] = merged(rows[-1], forming)
        else:
            rows.append(forming._replace(t=bucket))
        return rows

    def _levels(self, coin: str, levels: tuple[Level, ...], is_buy: bool) -> list[Row]:
        shown: dict[Decimal, tuple[Decimal, int]] = {
            level.price: (level.size, 1) for level in levels
        }
        for order in self._world.live[coin].values():
            if order.in_book and order.is_buy == is_buy:
                size, count = shown.get(order.limit, (ZERO, 0))
                shown[order.limit] = (size + order.remaining, count + 1)
        ordered = sorted(shown.items(), key=lambda entry: entry[0], reverse=is_buy)
        return [
            {"px": number(price), "sz": number(size), "n": count}
            for price, (size, count) in ordered[:LEVELS]
        ]

    def _slowly(self, coin: str) -> Slow:
        """Figures of a coin that change each hour, or each quarter of one."""
        world, source = self._world, self._world.source
        length = max(CONTEXT_MS, source.base_ms)
        hour, quarter = world.next_funding, world.now - world.now % length
        known = self._slow.get(coin)
        if known is not None and (known.hour, known.quarter) == (hour, quarter):
            return known
        rows = source.closed(coin, length, quarter - DAY_MS, quarter)
        units = sum(row.v for row in rows)
        market = world.prices.instruments[coin]
        base = Decimal(units) / VOLUME_UNITS
        share = 30 + noise(world.options.seed, 6, market.asset_id) % 40
        made = Slow(
            hour=hour,
            quarter=quarter,
            funding=number(world.prices.rate(coin, hour)),
            premium=number(world.prices.premium(coin, hour)),
            interest=number(market.round_size(base * share / 100)),
            before=real(rows[0].o if rows else world.prices.shown(coin)),
            base=base,
            volume=volume(units),
        )
        self._slow[coin] = made
        return made
