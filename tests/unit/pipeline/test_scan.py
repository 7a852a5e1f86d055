"""Which symbols are looked at, and when."""

from __future__ import annotations

from dataclasses import replace

from bot.domain.types import Market, Ms, Symbol, Timeframe
from bot.pipeline.scan import Scan, UniversePolicy, choose
from bot.runtime.clock import ManualClock
from tests.fakes import FakeFeed, instrument
from tests.unit.pipeline.given import BTC, ETH, SOL

MINUTE = 60_000
EPOCH = Ms(1_790_000_100_000)  # a full five minutes
SETTLE = 2_000
XRP = Symbol("XRP")


def market(symbol: Symbol, volume: float, mark: float = 100.0) -> Market:
    return Market(symbol, mark, mark, mark, mark, 0.0, 1.0, volume, mark, EPOCH)


MARKETS = {
    symbol: market(symbol, volume) for symbol, volume in ((BTC, 9e8), (ETH, 5e8), (SOL, 2e7))
}
RULES = {symbol: instrument(symbol) for symbol in MARKETS}


def test_without_a_list_the_largest_by_volume_are_taken() -> None:
    """Top N, largest first; what is left out is said."""
    chosen = choose(UniversePolicy(top_n=2), RULES, MARKETS)
    assert chosen.symbols == (BTC, ETH)
    assert chosen.skipped == {SOL: "not among the top 2 by volume"}


def test_equal_volumes_are_taken_by_name() -> None:
    """The same venue gives the same universe on every run."""
    same = {symbol: market(symbol, 5e8) for symbol in reversed(MARKETS)}
    assert choose(UniversePolicy(top_n=2), RULES, same).symbols == (BTC, ETH)


def test_too_little_volume_is_left_out_with_its_reason() -> None:
    """At least $10 M in 24 h."""
    thin = {**MARKETS, SOL: market(SOL, 9.9e6)}
    chosen = choose(UniversePolicy(), RULES, thin)
    assert chosen.symbols == (BTC, ETH)
    assert "24 h volume 9900000 USD under 10000000" in chosen.skipped[SOL]


def test_a_list_is_taken_as_it_stands_whatever_the_volume() -> None:
    """The operator's order, and the operator's choice."""
    policy = UniversePolicy(symbols=(SOL, BTC), top_n=1, min_volume_usd=1e12)
    assert choose(policy, RULES, MARKETS).symbols == (SOL, BTC)


def test_coins_are_found_whatever_their_case() -> None:
    """Wished for or excluded; the venue's spelling is used, and a coin is taken once."""
    kilo = Symbol("kPEPE")
    rules = {**RULES, kilo: instrument(kilo)}
    markets = {**MARKETS, kilo: market(kilo, 9e8)}
    wished = (Symbol("KPEPE"), Symbol("btc"), Symbol("BTC"))
    assert choose(UniversePolicy(symbols=wished), rules, markets).symbols == (kilo, BTC)
    chosen = choose(UniversePolicy(exclude=(Symbol("KPepe"), Symbol("eth"))), rules, markets)
    assert chosen.symbols == (BTC, SOL)
    assert chosen.skipped[kilo] == "excluded by EXCLUDE_SYMBOLS"


def test_delisted_unknown_excluded_and_priceless_symbols_are_skipped_with_reasons() -> None:
    """Also when they were asked for by name."""
    rules = {**RULES, ETH: replace(RULES[ETH], delisted=True)}
    markets = {**MARKETS, SOL: market(SOL, 1e9, mark=0.0)}
    policy = UniversePolicy(symbols=(BTC, ETH, SOL, XRP), exclude=(BTC,))
    chosen = choose(policy, rules, markets)
    assert chosen.symbols == ()
    assert chosen.skipped == {
        BTC: "excluded by EXCLUDE_SYMBOLS",
        ETH: "delisted",
        SOL: "no price",
        XRP: "unknown at the venue",
    }


# --- cadence ---------------------------------------------------------------------------------


def scan(
    clock: ManualClock, feed: FakeFeed, interval_ms: int = 180_000, held: tuple[Symbol, ...] = ()
) -> Scan:
    return Scan(
        feed,
        clock,
        UniversePolicy(top_n=1, refresh_ms=3_600_000),
        (Timeframe.M5, Timeframe.H1),
        interval_ms,
        SETTLE,
        {},
        held=lambda: held,
    )


def feed_of() -> FakeFeed:
    feed = FakeFeed()
    feed.rules, feed.prices = dict(RULES), dict(MARKETS)
    return feed


def test_the_next_look_is_when_a_decision_bar_has_closed_and_settled() -> None:
    """2 s after the close, if that comes before the interval is over."""
    one = scan(ManualClock(EPOCH), feed_of())
    assert one.after(Ms(EPOCH + 4 * MINUTE)) == EPOCH + 5 * MINUTE + SETTLE


def test_else_it_is_when_the_interval_is_over() -> None:
    """Counted from the last look."""
    one = scan(ManualClock(EPOCH), feed_of())
    assert one.after(Ms(EPOCH + MINUTE)) == EPOCH + 4 * MINUTE


def test_a_look_at_the_settled_close_itself_is_followed_by_the_next_close() -> None:
    """Never the same moment again."""
    one = scan(ManualClock(EPOCH), feed_of(), interval_ms=3_600_000)
    assert one.after(Ms(EPOCH + SETTLE)) == EPOCH + 5 * MINUTE + SETTLE
    assert one.after(Ms(EPOCH + SETTLE - 1)) == EPOCH + SETTLE


async def test_cycles_come_at_those_times() -> None:
    """The first at once, then by close and interval."""
    clock = ManualClock(EPOCH)
    one = scan(clock, feed_of())
    times = []
    for _ in range(4):
        clock.set(max(clock.now(), one.next_at))
        assert await one.due() == (BTC,)
        times.append(clock.now() - EPOCH)
    assert times == [0, SETTLE, SETTLE + 180_000, 5 * MINUTE + SETTLE]


async def test_what_is_held_stays_watched_when_it_leaves_the_universe() -> None:
    """Care needs its prices; the symbol is not scanned for entries."""
    feed = feed_of()
    one = scan(ManualClock(EPOCH), feed, held=(SOL,))
    assert await one.due() == (BTC,)
    assert feed.watched == [(BTC, SOL)]


async def test_the_universe_is_refreshed_every_hour_and_not_at_every_look() -> None:
    """A coin that grew comes in with the hour."""
    clock, feed = ManualClock(EPOCH), feed_of()
    one = scan(clock, feed)
    await one.due()
    feed.prices[ETH] = market(ETH, 2e9)
    clock.set(one.next_at)
    assert await one.due() == (BTC,)
    clock.set(Ms(EPOCH + 3_600_000))
    assert await one.due() == (ETH,)


async def test_a_venue_that_does_not_answer_leaves_the_universe_as_it_is() -> None:
    """The road goes on with what it knows, and asks again at the next look."""
    clock, feed = ManualClock(EPOCH), feed_of()
    one = scan(clock, feed)
    await one.due()
    feed.prices[ETH] = market(ETH, 2e9)
    feed.away = True
    clock.set(Ms(EPOCH + 3_600_000))
    assert await one.due() == (BTC,)
    feed.away = False
    clock.set(one.next_at)
    assert await one.due() == (ETH,)
