"""After a run of faults the venue's own client, ccxt and our books see one and the same account."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hyperliquid.info import Info

from bot.domain.types import ExitReason, Leg, Symbol
from tests.acting import ETH, SOL, Acting, acting

LIMIT_S = 5.0
CHANCES = [
    {"kind": "gateway", "executed": True, "on": "order", "times": 0, "rate": 0.15},
    {"kind": "reset", "on": "order", "times": 0, "rate": 0.1},
    {"kind": "too_many_requests", "on": "info", "times": 0, "rate": 0.05},
    {"kind": "drop", "times": 0, "rate": 0.3},
    {"kind": "duplicate", "times": 0, "rate": 0.3},
]


async def a_run_of_faults(half: Acting) -> None:
    """Trades in two coins while requests and frames go wrong; one position stays open."""
    half.faults(*CHANCES, seed=11)
    for number in range(3):
        for symbol in (ETH, SOL):
            await half.enter(symbol)
            await half.play(40)
        half.desk.close(ETH, ExitReason.MANUAL)
        half.desk.close(SOL, ExitReason.MANUAL)
        half.move(ETH=3_000.0 + number, SOL=150.0 - number)
        await half.play(60)
    assert sum(half.struck()) > 5
    half.faults()
    await half.play(40)
    await half.enter(ETH)
    await half.play(5)
    await half.in_order()


def seen_by_sdk(url: str, address: str) -> dict[str, Any]:
    """Positions, resting orders, fills and fees as Hyperliquid's own client reads them."""
    info = Info(url, skip_ws=True, timeout=LIMIT_S)
    try:
        rows = [row["position"] for row in info.user_state(address)["assetPositions"]]
        fills = info.user_fills(address)
        return {
            "positions": {row["coin"]: Decimal(row["szi"]) for row in rows},
            "orders": {row["cloid"] for row in info.frontend_open_orders(address)},
            "fills": {int(fill["tid"]) for fill in fills},
            "fees": sum(Decimal(fill["fee"]) for fill in fills),
        }
    finally:
        info.session.close()


def seen_by_ccxt(url: str, address: str) -> dict[str, Any]:
    """The same through ccxt, its addresses overridden."""
    ccxt = pytest.importorskip("ccxt", reason="program absent: ccxt")
    venue = ccxt.hyperliquid({"walletAddress": address, "timeout": int(LIMIT_S * 1000)})
    venue.urls["api"] = {"public": url, "private": url}
    venue.options["fetchMarkets"] = {"types": ["swap"]}
    try:
        venue.load_markets()
        rows = venue.fetch_positions()
        fills = venue.fetch_my_trades()
        return {
            "positions": {
                row["info"]["position"]["coin"]: Decimal(row["info"]["position"]["szi"])
                for row in rows
            },
            "orders": {row["clientOrderId"] for row in venue.fetch_open_orders()},
            "fills": {int(fill["id"]) for fill in fills},
            "fees": sum(Decimal(str(fill["fee"]["cost"])) for fill in fills),
        }
    finally:
        venue.session.close()


def ours(half: Acting) -> dict[str, Any]:
    books = half.books
    resting = [o for o in books.open_orders() if o.leg in (Leg.STOP, Leg.TARGET)]
    return {
        "positions": {str(symbol): held.signed for symbol, held in books.positions.items()},
        "orders": {str(order.cloid) for order in resting},
        "fills": {number for _, _, number in books.fill_keys},
        "fees": books.ledger.fees,
    }


@pytest.mark.parametrize("client", [seen_by_sdk, seen_by_ccxt])
async def test_after_faults_every_client_sees_the_account_that_our_books_show(
    tmp_path: Path, client: Any
) -> None:
    """Positions, resting orders, fills by number, fees."""
    async with acting(tmp_path) as half:
        await a_run_of_faults(half)
        url = f"http://127.0.0.1:{half.port}"
        with half.clock.busy():  # market time stands still while a thread asks
            theirs = await asyncio.to_thread(client, url, half.address)
            mine = ours(half)
        assert theirs == mine
        assert set(theirs["positions"]) == {Symbol("ETH")}
