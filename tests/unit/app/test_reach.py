"""bot.app.reach: a configuration in which nothing can trade ends the start."""

from __future__ import annotations

import pytest

from bot.app.reach import refuse_dead
from bot.domain.errors import ConfigError, TransientError
from bot.domain.types import Market, Symbol
from tests.unit.app.given import parts


async def test_an_empty_universe_is_refused_with_why() -> None:
    """Each coin asked for with its reason, and the settings that choose."""
    made, *_ = parts(SYMBOLS="NOSUCH,BTC", EXCLUDE_SYMBOLS="btc")
    with pytest.raises(ConfigError, match="there is nothing to trade") as caught:
        await refuse_dead(made)
    [line] = caught.value.problems
    assert "NOSUCH: unknown at the venue" in line
    assert "BTC: excluded by EXCLUDE_SYMBOLS" in line
    assert "change SYMBOLS" in line


async def test_a_universe_with_one_coin_goes_on() -> None:
    """A name that the venue does not know beside one that it does is left out, not refused."""
    made, *_ = parts(SYMBOLS="NOSUCH,eth")
    await refuse_dead(made)


async def test_a_capital_too_small_for_any_trade_is_refused() -> None:
    """With the rules that refuse, their values and limits."""
    made, *_ = parts(INITIAL_CAPITAL="1")
    with pytest.raises(ConfigError, match="no trade can pass with these settings"):
        await refuse_dead(made)


async def test_a_venue_that_is_away_does_not_end_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether anything can be traded is then found out by trading."""
    made, _, feed, _ = parts(SYMBOLS="NOSUCH")

    async def away() -> dict[Symbol, Market]:
        raise TransientError("no answer")

    monkeypatch.setattr(feed, "markets", away)
    await refuse_dead(made)
