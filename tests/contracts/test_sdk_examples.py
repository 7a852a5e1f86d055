"""What the official SDK's examples do, step by step, against the simulated exchange.

Each test follows the sequence of one example with prices of this market; the client is the
SDK's own Info and Exchange, unchanged.
"""

from __future__ import annotations

import queue
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_account import Account
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from hyperliquid.utils.types import Cloid

from tests.contracts.test_sdk_against_simulator import LIMIT_S, Sdk, with_sdk

# Subscriptions whose first message does not wait for anything to happen.
AT_ONCE = {
    "l2Book",
    "userFills",
    "userFundings",
    "userNonFundingLedgerUpdates",
    "webData2",
    "bbo",
    "activeAssetCtx",
    "activeAssetData",
}
GTC: Any = {"limit": {"tif": "Gtc"}}
CLOID = Cloid.from_str("0x00000000000000000000000000000001")


def trigger(price: float, tpsl: str) -> Any:
    return {"trigger": {"triggerPx": price, "isMarket": True, "tpsl": tpsl}}


def leave(live: Info) -> None:
    """End the SDK's socket thread: its own way blocks in a select on the closed socket."""
    live.ws_manager.stop_event.set()
    live.ws_manager.ws.keep_running = False  # seen with the next frame
    live.ws_manager.join(LIMIT_S)
    live.session.close()


def hear(heard: queue.Queue[str], channels: set[str]) -> None:
    """Until each channel has spoken; others may speak for ever."""
    end = time.monotonic() + LIMIT_S
    missing = set(channels)
    while missing:
        assert time.monotonic() < end, f"never heard: {sorted(missing)}"
        missing.discard(heard.get(timeout=LIMIT_S))


async def test_basic_order(tmp_path: Path) -> None:
    """State, a low limit order, its status by oid, the cancel."""

    def work(sdk: Sdk) -> None:
        address = sdk.wallet.address
        assert sdk.info.user_state(address)["assetPositions"] == []
        [reply] = sdk.statuses(sdk.exchange.order("ETH", True, 0.2, sdk.price("ETH", 0.5), GTC))
        oid = reply["resting"]["oid"]
        found = sdk.info.query_order_by_oid(address, oid)
        assert found["order"]["status"] == "open"
        assert found["order"]["order"]["oid"] == oid
        assert sdk.statuses(sdk.exchange.cancel("ETH", oid)) == ["success"]
        assert sdk.info.query_order_by_oid(address, oid)["order"]["status"] == "canceled"

    await with_sdk(tmp_path, work)


async def test_basic_order_with_cloid(tmp_path: Path) -> None:
    """The same by client id, another id for an order that does not exist."""

    def work(sdk: Sdk) -> None:
        address = sdk.wallet.address
        price = sdk.price("ETH", 0.5)
        unknown = sdk.info.query_order_by_cloid(address, Cloid.from_int(77))
        assert unknown == {"status": "unknownOid"}
        [reply] = sdk.statuses(sdk.exchange.order("ETH", True, 0.2, price, GTC, cloid=CLOID))
        assert reply["resting"]["cloid"] == CLOID.to_raw()
        found = sdk.info.query_order_by_cloid(address, CLOID)
        assert found["order"]["order"]["cloid"] == CLOID.to_raw()
        assert sdk.statuses(sdk.exchange.cancel_by_cloid("ETH", CLOID)) == ["success"]
        [again] = sdk.statuses(sdk.exchange.cancel_by_cloid("ETH", CLOID))
        assert "never placed" in again["error"]

    await with_sdk(tmp_path, work)


async def test_basic_tpsl(tmp_path: Path) -> None:
    """Bought, then a stop, cancelled, then a target: each alone, reduce-only, at the market."""

    def work(sdk: Sdk) -> None:
        bound = sdk.price("ETH", 1.02)
        [bought] = sdk.statuses(sdk.exchange.order("ETH", True, 0.2, bound, GTC))
        assert bought["filled"]["totalSz"] == "0.2"
        stop = trigger(sdk.price("ETH", 0.9), "sl")
        answer = sdk.exchange.order(
            "ETH", False, 0.2, sdk.price("ETH", 0.81), stop, reduce_only=True
        )
        assert sdk.statuses(answer) == ["waitingForTrigger"]
        [order] = sdk.info.frontend_open_orders(sdk.wallet.address)
        assert (order["orderType"], order["isTrigger"]) == ("Stop Market", True)
        assert sdk.statuses(sdk.exchange.cancel("ETH", order["oid"])) == ["success"]
        target = trigger(sdk.price("ETH", 1.1), "tp")
        answer = sdk.exchange.order(
            "ETH", False, 0.2, sdk.price("ETH", 0.99), target, reduce_only=True
        )
        assert sdk.statuses(answer) == ["waitingForTrigger"]
        [order] = sdk.info.frontend_open_orders(sdk.wallet.address)
        assert order["orderType"] == "Take Profit Market"
        sdk.statuses(sdk.exchange.cancel("ETH", order["oid"]))

    await with_sdk(tmp_path, work)


async def test_cancel_open_orders(tmp_path: Path) -> None:
    """Everything that stands, over several coins, one by one and in one action."""

    def work(sdk: Sdk) -> None:
        address = sdk.wallet.address

        def place() -> None:
            for coin, size in (("ETH", 0.1), ("SOL", 2.0), ("BTC", 0.01)):
                sdk.statuses(sdk.exchange.order(coin, True, size, sdk.price(coin, 0.7), GTC))

        place()
        for row in sdk.info.open_orders(address):
            assert sdk.statuses(sdk.exchange.cancel(row["coin"], row["oid"])) == ["success"]
        assert sdk.info.open_orders(address) == []
        place()
        rows = sdk.info.open_orders(address)
        wishes: Any = [{"coin": row["coin"], "oid": row["oid"]} for row in rows]
        assert sdk.statuses(sdk.exchange.bulk_cancel(wishes)) == ["success"] * 3
        assert sdk.info.open_orders(address) == []

    await with_sdk(tmp_path, work)


async def test_basic_order_modify(tmp_path: Path) -> None:
    """By oid, then by the client id that stayed; the old oids are gone."""

    def work(sdk: Sdk) -> None:
        address = sdk.wallet.address
        low, higher = sdk.price("ETH", 0.5), sdk.price("ETH", 0.6)
        [placed] = sdk.statuses(sdk.exchange.order("ETH", True, 0.2, low, GTC, cloid=CLOID))
        oid = placed["resting"]["oid"]
        assert sdk.info.query_order_by_oid(address, oid)["order"]["status"] == "open"
        answer = sdk.exchange.modify_order(oid, "ETH", True, 0.1, higher, GTC, cloid=CLOID)
        [moved] = sdk.statuses(answer)
        assert moved["resting"]["oid"] != oid
        answer = sdk.exchange.modify_order(CLOID, "ETH", True, 0.1, low, GTC, cloid=CLOID)
        sdk.statuses(answer)
        [row] = sdk.info.open_orders(address)
        assert (row["sz"], row["cloid"]) == ("0.1", CLOID.to_raw())
        assert Decimal(row["limitPx"]) == Decimal(str(low))
        assert sdk.info.query_order_by_oid(address, oid)["order"]["status"] == "canceled"
        [late] = sdk.statuses(sdk.exchange.modify_order(oid, "ETH", True, 0.1, low, GTC))
        assert late == {"error": "Cannot modify canceled or filled order asset=1"}

    await with_sdk(tmp_path, work)


async def test_basic_market_order(tmp_path: Path) -> None:
    """Opened and closed at the market; each fill tells size and price."""

    def work(sdk: Sdk) -> None:
        opened = sdk.exchange.market_open("ETH", True, 0.05, None, 0.01)
        for status in sdk.statuses(opened):
            filled = status["filled"]
            assert filled["totalSz"] == "0.05" and Decimal(filled["avgPx"]) > 0
        for status in sdk.statuses(sdk.exchange.market_close("ETH")):
            assert status["filled"]["totalSz"] == "0.05"
        assert sdk.info.user_state(sdk.wallet.address)["assetPositions"] == []
        assert sdk.exchange.market_close("ETH") is None  # the SDK finds nothing to close

    await with_sdk(tmp_path, work)


async def test_basic_leverage_adjustment(tmp_path: Path) -> None:
    """Cross, isolated, and a dollar of margin more for an open position."""

    def work(sdk: Sdk) -> None:
        done = {"status": "ok", "response": {"type": "default"}}

        def position() -> dict[str, Any]:
            [row] = sdk.info.user_state(sdk.wallet.address)["assetPositions"]
            return dict(row["position"])

        assert sdk.exchange.update_leverage(21, "ETH") == done
        assert sdk.exchange.update_leverage(20, "ETH", False) == done
        sdk.statuses(sdk.exchange.market_open("ETH", True, 0.1))
        before = position()
        assert before["leverage"]["value"] == 20
        assert sdk.exchange.update_isolated_margin(1, "ETH") == done
        after = position()
        gained = Decimal(after["leverage"]["rawUsd"]) - Decimal(before["leverage"]["rawUsd"])
        assert gained == 1

    await with_sdk(tmp_path, work)


async def test_basic_agent(tmp_path: Path) -> None:
    """An agent approved by the SDK trades for its master, without a name and with one."""

    def work(sdk: Sdk) -> None:
        address = sdk.wallet.address
        for name in (None, "persistence"):
            answer, key = sdk.exchange.approve_agent(name)
            assert answer == {"status": "ok", "response": {"type": "default"}}
            wallet = Account.from_key(key)
            trader = Exchange(wallet, sdk.exchange.base_url, account_address=address)
            [reply] = sdk.statuses(trader.order("ETH", True, 0.2, sdk.price("ETH", 0.5), GTC))
            oid = reply["resting"]["oid"]
            assert sdk.info.query_order_by_oid(address, oid)["order"]["status"] == "open"
            assert sdk.statuses(trader.cancel("ETH", oid)) == ["success"]
            role = sdk.info.user_role(wallet.address)
            assert role == {"role": "agent", "data": {"user": address.lower()}}
            trader.session.close()
            trader.info.session.close()
        assert [row["name"] for row in sdk.info.extra_agents(address)] == ["persistence"]

    await with_sdk(tmp_path, work)


async def test_basic_schedule_cancel(tmp_path: Path) -> None:
    """Refused below a million traded, to set and to take back."""

    def work(sdk: Sdk) -> None:
        for at in (2**41, None):
            answer = sdk.exchange.schedule_cancel(at)
            assert answer["status"] == "err"
            assert answer["response"].endswith("Required: $1000000. Traded: $0.00.")

    await with_sdk(tmp_path, work)


async def test_basic_ws(tmp_path: Path) -> None:
    """Every subscription of the example is acknowledged, and those that speak at once do."""

    def work(sdk: Sdk) -> None:
        live = Info(sdk.info.base_url, timeout=LIMIT_S)
        user = sdk.wallet.address
        heard: queue.Queue[str] = queue.Queue()
        wishes: list[Any] = [
            {"type": "allMids"},
            {"type": "l2Book", "coin": "ETH"},
            {"type": "trades", "coin": "ETH"},
            {"type": "userEvents", "user": user},
            {"type": "userFills", "user": user},
            {"type": "candle", "coin": "ETH", "interval": "1m"},
            {"type": "orderUpdates", "user": user},
            {"type": "userFundings", "user": user},
            {"type": "userNonFundingLedgerUpdates", "user": user},
            {"type": "webData2", "user": user},
            {"type": "bbo", "coin": "ETH"},
            {"type": "activeAssetCtx", "coin": "BTC"},
            {"type": "activeAssetData", "user": user, "coin": "BTC"},
        ]
        try:
            for wish in wishes:
                live.subscribe(wish, lambda message: heard.put(message["channel"]))
            hear(heard, AT_ONCE)  # the socket is open then, and the rest is subscribed too
            sdk.statuses(sdk.exchange.market_open("ETH", True, 0.1))
            hear(heard, {wish["type"] for wish in wishes} - AT_ONCE - {"userEvents"} | {"user"})
        finally:
            leave(live)

    await with_sdk(tmp_path, work, speed=120.0)
