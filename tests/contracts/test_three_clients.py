"""After a run of faults the venue's own client, ccxt and our books see one and the same account."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt  # type: ignore[import-untyped]
import pytest
from hyperliquid.info import Info

from bot.domain.types import ExitReason, Leg, Ms, Symbol
from tests.acting import ETH, SOL, Acting, acting

LIMIT_S = 5.0
CENTS = 2  # of equity: ccxt reads it as a float
BEFORE_THE_HOUR = Ms(1_790_002_800_000 - 600_000)
HOUR_S, LATE_S = 3_600, 70  # funding is paid by the hour and asked for a minute after it
CHANCES = [
    {"kind": "gateway", "executed": True, "on": "order", "times": 0, "rate": 0.15},
    {"kind": "reset", "on": "order", "times": 0, "rate": 0.1},
    {"kind": "too_many_requests", "on": "info", "times": 0, "rate": 0.05},
    {"kind": "drop", "times": 0, "rate": 0.3},
    {"kind": "duplicate", "times": 0, "rate": 0.3},
]


async def a_run_of_faults(half: Acting) -> None:
    """Trades in two coins while requests and frames go wrong; one position stays and pays."""
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
    half.faults({"kind": "funding_spike", "hourly": 0.001})
    await half.play(HOUR_S - half.clock.now() / 1000 % HOUR_S + LATE_S)
    await half.in_order()
    assert half.books.ledger.funding < 0


def seen_by_sdk(url: str, address: str) -> dict[str, Any]:
    """Positions, resting orders, fills and fees as Hyperliquid's own client reads them."""
    info = Info(url, skip_ws=True, timeout=LIMIT_S)
    try:
        state = info.user_state(address)
        rows = [row["position"] for row in state["assetPositions"]]
        fills = info.user_fills(address)
        paid = info.user_funding_history(address, 0)
        return {
            "positions": {row["coin"]: Decimal(row["szi"]) for row in rows},
            "orders": {row["cloid"] for row in info.frontend_open_orders(address)},
            "fills": {int(fill["tid"]) for fill in fills},
            "fees": sum(Decimal(fill["fee"]) for fill in fills),
            "profit": sum(Decimal(fill["closedPnl"]) for fill in fills),
            "funding": sum(Decimal(row["delta"]["usdc"]) for row in paid),
            "equity": round(Decimal(state["marginSummary"]["accountValue"]), CENTS),
        }
    finally:
        info.session.close()


def seen_by_ccxt(url: str, address: str) -> dict[str, Any]:
    """The same through ccxt, its addresses overridden."""
    venue = ccxt.hyperliquid({"walletAddress": address, "timeout": int(LIMIT_S * 1000)})
    venue.urls["api"] = {"public": url, "private": url}
    venue.options["fetchMarkets"] = {"types": ["swap"]}
    try:
        venue.load_markets()
        rows = venue.fetch_positions()
        fills = venue.fetch_my_trades()
        paid = venue.fetch_funding_history(None, 0)
        return {
            "positions": {
                row["info"]["position"]["coin"]: Decimal(row["info"]["position"]["szi"])
                for row in rows
            },
            "orders": {row["clientOrderId"] for row in venue.fetch_open_orders()},
            "fills": {int(fill["id"]) for fill in fills},
            "fees": sum(Decimal(str(fill["fee"]["cost"])) for fill in fills),
            "profit": sum(Decimal(fill["info"]["closedPnl"]) for fill in fills),
            "funding": sum(Decimal(str(row["amount"])) for row in paid),
            "equity": round(Decimal(str(venue.fetch_balance()["total"]["USDC"])), CENTS),
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
        "profit": books.ledger.realised,
        "funding": books.ledger.funding,
        "equity": round(books.equity(), CENTS),
    }


@pytest.mark.parametrize("client", [seen_by_sdk, seen_by_ccxt])
async def test_after_faults_every_client_sees_the_account_that_our_books_show(
    tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions, resting orders, fills by number, fees, profit, funding and equity."""
    monkeypatch.setattr("tests.acting.START", BEFORE_THE_HOUR)
    async with acting(tmp_path) as half:
        await a_run_of_faults(half)
        url = f"http://127.0.0.1:{half.port}"
        with half.clock.busy():  # market time stands still while a thread asks
            theirs = await asyncio.to_thread(client, url, half.address)
            mine = ours(half)
        assert theirs == mine
        assert set(theirs["positions"]) == {Symbol("ETH")}
