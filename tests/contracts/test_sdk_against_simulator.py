"""The venue's own client, unchanged, against the simulated exchange.

An independent check: the SDK shares no line with our adapter or with the simulator's
wire code.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_account import Account
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from hyperliquid.utils.types import Cloid

from bot.domain.types import Ms
from bot.runtime.clock import ScaledClock
from bot.simulator import SimulatedExchange, SimulatorOptions

KEY = "0x" + "42" * 32
LIMIT_S = 5.0


class Sdk:
    """The SDK's two halves for one wallet."""

    def __init__(self, url: str) -> None:
        self.wallet = Account.from_key(KEY)
        self.info = Info(url, skip_ws=True, timeout=LIMIT_S)
        self.info.user_state(self.wallet.address)
        self.exchange = Exchange(self.wallet, url, timeout=LIMIT_S)

    def mid(self, coin: str) -> float:
        return float(self.info.all_mids()[coin])

    def price(self, coin: str, factor: float) -> float:
        return float(f"{self.mid(coin) * factor:.4g}")

    def statuses(self, answer: Any) -> list[Any]:
        assert answer["status"] == "ok", answer
        found: list[Any] = answer["response"]["data"]["statuses"]
        return found

    def close(self) -> None:
        self.info.session.close()
        self.exchange.session.close()
        self.exchange.info.session.close()


@asynccontextmanager
async def served(tmp_path: Path, speed: float = 60.0) -> AsyncIterator[str]:
    options = SimulatorOptions(tmp_path / "simulator.db", rate_limit=False)
    exchange = SimulatedExchange(options, Ms(1_790_000_000_000))
    port = await exchange.serve(ScaledClock(exchange.start_at, speed))
    playing = asyncio.create_task(exchange.run())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await exchange.close()
        playing.cancel()
        with suppress(asyncio.CancelledError):
            await playing


async def with_sdk(tmp_path: Path, work: Callable[[Sdk], None], speed: float = 60.0) -> None:
    """Run blocking SDK work in a thread against a served exchange."""

    def run(url: str) -> None:
        sdk = Sdk(url)
        try:
            work(sdk)
        finally:
            sdk.close()

    async with served(tmp_path, speed) as url:
        await asyncio.to_thread(run, url)


async def test_orders_rest_and_are_cancelled_by_oid_and_client_id(tmp_path: Path) -> None:
    def work(sdk: Sdk) -> None:
        price = sdk.price("ETH", 0.9)
        order = {"limit": {"tif": "Gtc"}}
        [first] = sdk.statuses(sdk.exchange.order("ETH", True, 0.1, price, order))
        cloid = Cloid.from_int(0x4B45454C << 96)
        [second] = sdk.statuses(sdk.exchange.order("ETH", True, 0.1, price, order, cloid=cloid))
        assert second["resting"]["cloid"] == cloid.to_raw()
        rows = sdk.info.open_orders(sdk.wallet.address)
        assert {row["oid"] for row in rows} == {
            first["resting"]["oid"],
            second["resting"]["oid"],
        }
        found = sdk.info.query_order_by_cloid(sdk.wallet.address, cloid)
        assert found["order"]["status"] == "open"
        answer = sdk.exchange.cancel("ETH", first["resting"]["oid"])
        assert sdk.statuses(answer) == ["success"]
        assert sdk.statuses(sdk.exchange.cancel_by_cloid("ETH", cloid)) == ["success"]
        assert sdk.info.open_orders(sdk.wallet.address) == []
        by_oid = sdk.info.query_order_by_oid(sdk.wallet.address, first["resting"]["oid"])
        assert by_oid["order"]["status"] == "canceled"

    await with_sdk(tmp_path, work)


async def test_market_open_and_close_with_leverage(tmp_path: Path) -> None:
    def work(sdk: Sdk) -> None:
        answer = sdk.exchange.update_leverage(5, "SOL", False)
        assert answer == {"status": "ok", "response": {"type": "default"}}
        [opened] = sdk.statuses(sdk.exchange.market_open("SOL", True, 3.0))
        assert opened["filled"]["totalSz"] == "3.0"
        [row] = sdk.info.user_state(sdk.wallet.address)["assetPositions"]
        position = row["position"]
        assert position["szi"] == "3.0"
        assert position["leverage"]["type"] == "isolated" and position["leverage"]["value"] == 5
        assert Decimal(position["liquidationPx"]) < Decimal(position["entryPx"])
        [closed] = sdk.statuses(sdk.exchange.market_close("SOL"))
        assert closed["filled"]["totalSz"] == "3.0"
        assert sdk.info.user_state(sdk.wallet.address)["assetPositions"] == []
        fills = sdk.info.user_fills(sdk.wallet.address)
        assert {fill["dir"] for fill in fills} == {"Open Long", "Close Long"}
        by_time = sdk.info.user_fills_by_time(sdk.wallet.address, 0)
        assert sorted(fill["tid"] for fill in fills) == [fill["tid"] for fill in by_time]

    await with_sdk(tmp_path, work)


async def test_an_entry_with_stop_and_target(tmp_path: Path) -> None:
    def work(sdk: Sdk) -> None:
        def wish(is_buy: bool, factor: float, kind: Any, reduce_only: bool) -> Any:
            return {
                "coin": "ETH",
                "is_buy": is_buy,
                "sz": 0.1,
                "limit_px": sdk.price("ETH", factor),
                "order_type": kind,
                "reduce_only": reduce_only,
            }

        def trigger(factor: float, tpsl: str) -> Any:
            price = sdk.price("ETH", factor)
            return {"trigger": {"triggerPx": price, "isMarket": True, "tpsl": tpsl}}

        batch = [
            wish(True, 1.01, {"limit": {"tif": "Ioc"}}, False),
            wish(False, 0.85, trigger(0.95, "sl"), True),
            wish(False, 0.95, trigger(1.05, "tp"), True),
        ]
        replies = sdk.statuses(sdk.exchange.bulk_orders(batch, grouping="normalTpsl"))
        assert "filled" in replies[0]
        assert replies[1:] == ["waitingForTrigger", "waitingForTrigger"]
        rows = sdk.info.frontend_open_orders(sdk.wallet.address)
        assert {row["orderType"] for row in rows} == {"Stop Market", "Take Profit Market"}
        sdk.statuses(sdk.exchange.market_close("ETH"))
        assert sdk.info.open_orders(sdk.wallet.address) == []

    await with_sdk(tmp_path, work)


async def test_modify_keeps_the_client_id(tmp_path: Path) -> None:
    def work(sdk: Sdk) -> None:
        cloid = Cloid.from_int(9)
        kind: Any = {"limit": {"tif": "Alo"}}
        price = sdk.price("ETH", 0.9)
        sdk.statuses(sdk.exchange.order("ETH", True, 0.1, price, kind, cloid=cloid))
        lower = sdk.price("ETH", 0.8)
        answer = sdk.exchange.modify_order(cloid, "ETH", True, 0.2, lower, kind, cloid=cloid)
        assert "resting" in sdk.statuses(answer)[0]
        [row] = sdk.info.open_orders(sdk.wallet.address)
        assert (row["cloid"], row["sz"]) == (cloid.to_raw(), "0.2")

    await with_sdk(tmp_path, work)


async def test_refusals_arrive_as_the_sdk_shows_them(tmp_path: Path) -> None:
    def work(sdk: Sdk) -> None:
        stranger = Exchange(Account.from_key("0x" + "43" * 32), sdk.exchange.base_url)
        answer = stranger.market_open("ETH", True, 0.1)
        assert answer["status"] == "err" and answer["response"].endswith("does not exist.")
        price = sdk.price("ETH", 0.9)
        sdk.exchange.set_expires_after(1)
        answer = sdk.exchange.order("ETH", True, 0.1, price, {"limit": {"tif": "Gtc"}})
        assert answer == {"status": "err", "response": "Action already expired"}
        sdk.exchange.set_expires_after(None)
        answer = sdk.exchange.order("ETH", True, 0.001, price, {"limit": {"tif": "Gtc"}})
        text = "Order must have minimum value of $10. asset=1"
        assert sdk.statuses(answer) == [{"error": text}]
        stranger.session.close()
        stranger.info.session.close()

    await with_sdk(tmp_path, work)


async def test_market_questions(tmp_path: Path) -> None:
    def work(sdk: Sdk) -> None:
        now = sdk.info.user_state(sdk.wallet.address)["time"]
        rows = sdk.info.candles_snapshot("BTC", "15m", now - 4 * 900_000, now)
        assert len(rows) == 5 and rows[-1]["T"] >= now
        book = sdk.info.l2_snapshot("BTC")
        assert len(book["levels"][0]) == 20
        meta, contexts = sdk.info.meta_and_asset_ctxs()
        assert len(meta["universe"]) == len(contexts) == 12
        rates = sdk.info.funding_history("BTC", now - 8 * 3_600_000)
        assert len(rows) > 4 and all(Decimal(row["fundingRate"]) for row in rates)
        assert sdk.info.user_funding_history(sdk.wallet.address, 0) == []
        assert sdk.info.historical_orders(sdk.wallet.address) == []
        assert sdk.info.user_role(sdk.wallet.address) == {"role": "user"}
        assert sdk.info.user_rate_limit(sdk.wallet.address)["nRequestsCap"] == 10_000
        assert sdk.info.query_user_abstraction_state(sdk.wallet.address) == "disabled"
        assert sdk.info.extra_agents(sdk.wallet.address) == []

    await with_sdk(tmp_path, work)


async def test_questions_of_what_is_not_simulated(tmp_path: Path) -> None:
    """Staking, referral, TWAP, vaults: answered as to somebody who has none, not refused."""

    def work(sdk: Sdk) -> None:
        info, user = sdk.info, sdk.wallet.address
        assert info.user_staking_summary(user)["nPendingWithdrawals"] == 0
        for nothing in (
            info.user_staking_delegations,
            info.user_staking_rewards,
            info.delegator_history,
            info.user_twap_slice_fills,
            info.user_vault_equities,
        ):
            assert nothing(user) == []
        assert info.query_referral_state(user)["referredBy"] is None
        assert info.query_sub_accounts(user) is None
        assert info.query_user_to_multi_sig_signers(user) is None
        assert info.query_user_dex_abstraction_state(user) is False

    await with_sdk(tmp_path, work)


async def test_the_sdks_websocket(tmp_path: Path) -> None:
    """allMids, userFills and orderUpdates through its own manager thread."""

    def work(sdk: Sdk) -> None:
        live = Info(sdk.exchange.base_url, timeout=LIMIT_S)
        user = sdk.wallet.address
        inbox: dict[str, queue.Queue[Any]] = {
            name: queue.Queue() for name in ("allMids", "userFills", "orderUpdates", "candle")
        }
        until = time.monotonic() + LIMIT_S
        while not live.ws_manager.ws_ready and time.monotonic() < until:
            time.sleep(0.005)
        try:
            live.subscribe({"type": "allMids"}, inbox["allMids"].put)
            live.subscribe({"type": "userFills", "user": user}, inbox["userFills"].put)
            live.subscribe({"type": "orderUpdates", "user": user}, inbox["orderUpdates"].put)
            candle: Any = {"type": "candle", "coin": "ETH", "interval": "1m"}
            live.subscribe(candle, inbox["candle"].put)
            assert inbox["userFills"].get(timeout=LIMIT_S)["data"]["isSnapshot"] is True
            assert inbox["candle"].get(timeout=LIMIT_S)["data"]["s"] == "ETH"
            first, second = (inbox["allMids"].get(timeout=LIMIT_S) for _ in range(2))
            assert first["data"]["mids"].keys() == second["data"]["mids"].keys()
            sdk.statuses(sdk.exchange.market_open("ETH", True, 0.1))
            fill = inbox["userFills"].get(timeout=LIMIT_S)["data"]["fills"][0]
            assert (fill["coin"], fill["dir"]) == ("ETH", "Open Long")
            states = [row["status"] for row in inbox["orderUpdates"].get(timeout=LIMIT_S)["data"]]
            assert states == ["open", "filled"]
        finally:
            live.disconnect_websocket()
            live.ws_manager.join(LIMIT_S)
            live.session.close()

    await with_sdk(tmp_path, work, speed=120.0)
