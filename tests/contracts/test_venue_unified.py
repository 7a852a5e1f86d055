"""The Hyperliquid adapter on accounts whose collateral is in the spot state."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.errors import ConfigError
from bot.domain.types import Leg, OrderStatus
from tests.contracts.test_venue_hyperliquid import ETH, playing


async def test_the_adapter_trades_on_a_unified_account(tmp_path: Path) -> None:
    """Entry, stop and exit; equity is one number that no position makes vanish."""
    async with playing(tmp_path, abstraction="unifiedAccount") as world:
        flat = await world.venue.account()
        assert flat.equity == flat.free_margin == 10_000
        await world.venue.set_leverage(ETH, 3)
        wish = await world.intent()
        with world.clock.busy():  # one moment for all questions
            acks = await world.send(wish)
            assert acks[0].status is OrderStatus.FILLED
            held = await world.venue.account()
        cost = wish.quantity * wish.reference
        assert held.positions[ETH].signed_size == wish.quantity
        assert abs(held.equity - 10_000) < cost / 100
        assert abs(held.equity - held.free_margin - cost / 3) < cost / 50
        assert {order.cloid for order in held.orders} == {wish.stop_cloid, wish.target_cloid}
        (ack,) = await world.send(await world.intent(Leg.EXIT, quantity=wish.quantity))
        assert ack.status is OrderStatus.FILLED
        left = await world.venue.account()
        assert left.positions == {} and left.orders == ()
        assert left.equity == left.free_margin
        assert 0 < 10_000 - left.equity < cost / 50  # fees, spread and the moments between


async def test_a_classic_account_of_the_same_trades_has_the_same_equity(tmp_path: Path) -> None:
    """The mode changes where the numbers stand, not what they add up to."""

    async def equity(mode: str) -> object:
        (tmp_path / mode).mkdir()
        async with playing(tmp_path / mode, abstraction=mode) as world:
            await world.clock.pause(60)
            with world.clock.busy():
                await world.venue.set_leverage(ETH, 3)
                await world.send(await world.intent())
                return (await world.venue.account()).equity

    assert await equity("unifiedAccount") == await equity("default")


async def test_portfolio_margin_is_refused_with_a_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="portfolioMargin"):
        async with playing(tmp_path, abstraction="portfolioMargin"):
            raise AssertionError("started all the same")
