"""Market data of the venue as domain values: instruments, prices, candles.

Owns what the public answers mean; knows no request, no account and no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from bot.adapters.venues.hyperliquid.shapes import Row, rows_of, to_decimal, unreadable
from bot.domain.instrument import Instrument, MarginTier
from bot.domain.types import Market, Ms, Symbol

Candle = tuple[int, float, float, float, float, float]  # ts, open, high, low, close, volume

CANDLES_A_PART = 200  # 0.4 ms of processor time
COINS_A_PART = 50  # as long

_ISOLATED_MODES = ("strictIsolated", "noCross")  # facts 1.2, `marginMode`


@dataclass(frozen=True, slots=True)
class Context:
    """The venue's word on one coin, without its name. Bid and ask are impact prices."""

    mark: float
    oracle: float
    bid: float
    ask: float
    funding_hourly: float
    open_interest: float
    volume_24h_usd: float
    prev_day_price: float

    def market(self, symbol: Symbol, at: Ms, book: tuple[float, float] | None = None) -> Market:
        """As a domain value; `book` is (bid, ask) where the top of the book is known."""
        bid, ask = book if book is not None else (self.bid, self.ask)
        return Market(
            symbol=symbol,
            mark=self.mark,
            oracle=self.oracle,
            bid=bid,
            ask=ask,
            funding_hourly=self.funding_hourly,
            open_interest=self.open_interest,
            volume_24h_usd=self.volume_24h_usd,
            prev_day_price=self.prev_day_price,
            at=at,
        )


def is_perpetual(coin: str) -> bool:
    """Whether `coin` is a perpetual of the first exchange: no spot pair, no builder's coin."""
    return not any(mark in coin for mark in "/@:#")


def instruments(meta: object) -> dict[Symbol, Instrument]:
    """Trading rules by symbol from `meta`.

    The asset id is the place in the *full* universe, delisted coins included (facts 1.1).
    """
    row = Row.of("meta", meta)
    tables = _margin_tables(row)
    found = {}
    for asset_id, coin in enumerate(row.rows("universe")):
        instrument = _instrument(coin, asset_id, tables)
        found[instrument.symbol] = instrument
    return found


def markets(answer: object, at: Ms) -> dict[Symbol, Market]:
    """All coins of `metaAndAssetCtxs`; contexts stand in the order of the universe."""
    coins, contexts = _coins_and_contexts(answer)
    found = {}
    for fields, told in zip(coins, contexts, strict=True):
        coin, row = Row.of("metaAndAssetCtxs[0]", fields), Row.of("metaAndAssetCtxs[1]", told)
        symbol = Symbol(coin.text("name"))
        if coin.flag("isDelisted") or not _is_priced(row):
            continue  # one coin without a price must not hide all others
        found[symbol] = context(row).market(symbol, at)
    return found


def market_parts(answer: object) -> Iterator[object]:
    """The same answer in parts that `markets` reads in a fraction of a millisecond each."""
    coins, contexts = _coins_and_contexts(answer)
    for start in range(0, len(coins), COINS_A_PART):
        part = slice(start, start + COINS_A_PART)
        yield [{"universe": coins[part]}, contexts[part]]


def universe_of(answer: object) -> object:
    """The `meta` part of `metaAndAssetCtxs`."""
    return _pair(answer)[0]


def context(row: Row) -> Context:
    """One asset context. An empty book (no impact prices, no mid) falls back to the mark."""
    mark = row.price("markPx")
    bid, ask = _impact(row, row.price("midPx") if row.has("midPx") else mark)
    return Context(
        mark=mark,
        oracle=row.price("oraclePx"),
        bid=bid,
        ask=ask,
        funding_hourly=row.number("funding"),
        open_interest=row.number("openInterest"),
        volume_24h_usd=row.number("dayNtlVlm"),
        prev_day_price=row.number("prevDayPx"),
    )


def top_of_book(row: Row) -> tuple[float, float] | None:
    """(bid, ask) of a `bbo` frame; None while a side is empty."""
    levels = row.items("bbo")
    if len(levels) != 2:
        raise unreadable(row.what, "bbo", "two sides", levels)
    if levels[0] is None or levels[1] is None:
        return None
    bid, ask = (Row.of(f"{row.what}.bbo", level).price("px") for level in levels)
    return bid, ask


def candle(row: Row) -> Candle:
    """One candle; the volume is in base units. Refuses one whose prices contradict."""
    ts = row.integer("t")
    open_, high, low, close = (row.price(key) for key in ("o", "h", "l", "c"))
    volume = row.number("v")
    if high < max(open_, close) or low > min(open_, close) or volume < 0:
        raise unreadable(row.what, "o, h, l, c, v", "a candle without contradiction", row.fields)
    return ts, open_, high, low, close, volume


def candles(answer: object) -> list[Candle]:
    """Candles of `candleSnapshot`, oldest first, one an open time."""
    return by_time(map(candle, rows_of("candleSnapshot", answer)))


def candle_parts(answer: object) -> Iterator[object]:
    """The same answer in parts that `candles` reads in a fraction of a millisecond each."""
    if not isinstance(answer, list) or len(answer) <= CANDLES_A_PART:
        yield answer
        return
    for start in range(0, len(answer), CANDLES_A_PART):
        yield answer[start : start + CANDLES_A_PART]


def by_time(rows: Iterable[Candle]) -> list[Candle]:
    """Oldest first, the last one of each open time."""
    known = {row[0]: row for row in rows}
    return [known[ts] for ts in sorted(known)]


def _is_priced(row: Row) -> bool:
    return all(row.decimal_or(key, Decimal(0)) > 0 for key in ("markPx", "oraclePx"))


def _pair(answer: object) -> tuple[object, object]:
    if not isinstance(answer, list) or len(answer) != 2:
        raise unreadable("metaAndAssetCtxs", "answer", "[meta, contexts]", answer)
    return answer[0], answer[1]


def _coins_and_contexts(answer: object) -> tuple[list[object], list[object]]:
    meta, contexts = _pair(answer)
    coins = Row.of("metaAndAssetCtxs[0]", meta).items("universe")
    if not isinstance(contexts, list) or len(coins) != len(contexts):
        found = len(contexts) if isinstance(contexts, list) else contexts
        raise unreadable("metaAndAssetCtxs", "[1]", f"{len(coins)} contexts", found)
    return coins, contexts


def _instrument(
    coin: Row, asset_id: int, tables: Mapping[int, tuple[MarginTier, ...]]
) -> Instrument:
    name = coin.text("name")
    max_leverage = coin.integer("maxLeverage")
    table = coin.integer("marginTableId") if coin.has("marginTableId") else -1
    # A table that is not listed is untiered (facts 4), as are answers from before tables.
    untiered = (MarginTier(Decimal(0), max_leverage),)
    isolated = coin.flag("onlyIsolated") or coin.text_or_none("marginMode") in _ISOLATED_MODES
    return Instrument(
        symbol=Symbol(name),
        venue_symbol=name,
        asset_id=asset_id,
        size_decimals=coin.integer("szDecimals"),
        max_leverage=max_leverage,
        tiers=tables.get(table, untiered),
        delisted=coin.flag("isDelisted"),
        only_isolated=isolated,
    )


def _margin_tables(meta: Row) -> dict[int, tuple[MarginTier, ...]]:
    if not meta.has("marginTables"):
        return {}
    found: dict[int, tuple[MarginTier, ...]] = {}
    for entry in meta.items("marginTables"):
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], int):
            raise unreadable("meta", "marginTables", "[id, table]", entry)
        tiers = [
            MarginTier(tier.decimal("lowerBound"), tier.integer("maxLeverage"))
            for tier in Row.of("meta.marginTables", entry[1]).rows("marginTiers")
        ]
        if tiers:
            found[entry[0]] = tuple(sorted(tiers, key=lambda tier: tier.lower_bound))
    return found


def _impact(row: Row, fallback: float) -> tuple[float, float]:
    if not row.has("impactPxs"):
        return fallback, fallback
    prices = row.items("impactPxs")
    if len(prices) != 2:
        raise unreadable(row.what, "impactPxs", "[bid, ask]", prices)
    bid, ask = (float(to_decimal(row.what, "impactPxs", price)) for price in prices)
    return bid, ask
