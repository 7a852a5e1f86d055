"""POST /info: shapes as recorded from the venue, accounts, weights."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.simulator.errors import Malformed
from bot.simulator.limits import RateWindow
from tests.unit.simulator.given import BTC, ETH, START, Venue, cloid, limit, trigger

OLDER_KEYS = {"maxTradeSzs", "onlyIsolated", "isDelisted", "maker"}  # of 2023, or not needed


def recorded(folder: Path, name: str) -> Any:
    return json.loads((folder / "hyperliquid" / f"{name}.json").read_text())["response"]


def same_keys(ours: Any, theirs: Any, where: str = "") -> None:
    """Every key the venue sends, and the same JSON type under it."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), where
        missing = theirs.keys() - ours.keys() - OLDER_KEYS
        assert not missing, (where, missing)
        for key in theirs.keys() & ours.keys():
            same_keys(ours[key], theirs[key], f"{where}.{key}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), where
        if ours and theirs and not where.endswith((".levels", "children")):
            same_keys(ours[0], theirs[0], f"{where}[0]")
    elif theirs is not None and ours is not None:
        assert type(ours) is type(theirs), (where, ours, theirs)


@pytest.fixture
def busy(venue: Venue) -> Venue:
    """An account with a cross and an isolated position, orders and a bracket."""
    venue.leverage(BTC, 5)
    venue.place(limit(BTC, "0.01", "60300", "Ioc"))
    venue.place(
        limit(ETH, "1", "2900", cloid=cloid(1)),
        trigger(ETH, "-1", "2850", "sl", "2565", cloid=cloid(2)),
        grouping="normalTpsl",
    )
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    return venue


@pytest.mark.parametrize(
    ("name", "kind", "body"),
    [
        ("info", "meta", {}),
        ("all_mids", "allMids", {}),
        ("l2_snapshot.1", "l2Book", {"coin": "ETH"}),
        ("user_state", "clearinghouseState", None),
        ("frontend_open_orders", "frontendOpenOrders", None),
        ("historical_orders", "historicalOrders", None),
        ("user_fills", "userFills", None),
        ("user_rate_limit", "userRateLimit", None),
        ("user_role", "userRole", None),
        ("extra_agents", "extraAgents", None),
    ],
)
def test_answers_have_the_keys_of_the_recorded_ones(
    busy: Venue, shared_data: Path, name: str, kind: str, body: dict[str, Any] | None
) -> None:
    theirs = recorded(shared_data, name)
    ours = busy.ask(kind) if body is None else ask(busy, kind, **body)
    if name == "all_mids":
        assert all(isinstance(price, str) for price in ours.values())
        return
    same_keys(ours, theirs, name)


def test_candles_have_the_keys_of_the_recorded_ones(shared_data: Path, tmp_path: Path) -> None:
    from bot.simulator.options import SimulatorOptions
    from bot.simulator.world import World

    world = World(SimulatorOptions(tmp_path / "s.db"), START)
    from bot.simulator.info import Info

    wish = {"coin": "BTC", "interval": "1h", "startTime": START - 7_200_000, "endTime": START}
    ours = asyncio.run(Info(world).answer({"type": "candleSnapshot", "req": wish}))
    assert isinstance(ours, list) and len(ours) == 3
    same_keys(ours, recorded(shared_data, "candles_snapshot.1"))
    assert ours[0]["T"] == ours[0]["t"] + 3_600_000 - 1
    assert ours[0]["t"] <= wish["startTime"] <= ours[0]["T"]
    assert ours[-1]["t"] <= START <= ours[-1]["T"]
    world.ledger.close()


def test_funding_rows_have_the_keys_of_the_recorded_ones(venue: Venue, shared_data: Path) -> None:
    from tests.unit.simulator.test_duties import to_hour

    venue.place(limit(ETH, "1", "3010", "Ioc"))
    to_hour(venue)
    theirs = recorded(shared_data, "user_funding_history_without_end_time")
    theirs[0]["delta"]["nSamples"] = None
    same_keys(venue.ask("userFunding", startTime=0), theirs)


def ask(venue: Venue, kind: str, **body: Any) -> Any:
    return asyncio.run(venue.info.answer({"type": kind, **body}))


def test_contexts_are_positional_with_the_universe(venue: Venue) -> None:
    meta, contexts = ask(venue, "metaAndAssetCtxs")
    assert len(meta["universe"]) == len(contexts) == 3
    for row, context in zip(meta["universe"], contexts, strict=True):
        assert Decimal(context["markPx"]) == venue.world.prices.mark(row["name"])
        bid, ask_price = map(Decimal, context["impactPxs"])
        assert bid < Decimal(context["midPx"]) < ask_price
        assert abs(Decimal(context["oraclePx"]) / Decimal(context["markPx"]) - 1) < Decimal("0.001")


def test_margin_tables_name_the_tiers(venue: Venue) -> None:
    meta = ask(venue, "meta")
    tables = dict(meta["marginTables"])
    tiers = tables[meta["universe"][BTC]["marginTableId"]]["marginTiers"]
    assert tiers[1] == {"lowerBound": "150000000.0", "maxLeverage": 20}


def test_the_book_has_twenty_levels_and_shows_resting_orders(venue: Venue) -> None:
    bid, _ = venue.engine.best("ETH")
    before = ask(venue, "l2Book", coin="ETH")
    venue.place(limit(ETH, "2", str(bid)))
    after = ask(venue, "l2Book", coin="ETH")
    assert [len(side) for side in after["levels"]] == [20, 20]
    best, was = after["levels"][0][0], before["levels"][0][0]
    assert best["px"] == was["px"]
    assert Decimal(best["sz"]) - Decimal(was["sz"]) == 2
    assert best["n"] == 2


def test_an_unknown_coin_is_null_or_empty(venue: Venue) -> None:
    assert ask(venue, "l2Book", coin="NOPE") is None
    assert ask(venue, "recentTrades", coin="NOPE") == []
    wish = {"coin": "NOPE", "interval": "1m", "startTime": 0}
    assert ask(venue, "candleSnapshot", req=wish) == []


@pytest.mark.parametrize(
    "body",
    [
        {"type": "nonsense"},
        {"type": 5},
        {},
        [],
        {"type": "clearinghouseState", "user": "0x12"},
        {"type": "orderStatus", "user": "0x" + "ab" * 20},
        {"type": "l2Book"},
        {"type": "candleSnapshot", "req": {"coin": "ETH", "interval": "7m", "startTime": 0}},
        {"type": "userFillsByTime", "user": "0x" + "ab" * 20},
    ],
)
def test_unknown_questions_are_malformed(venue: Venue, body: Any) -> None:
    with pytest.raises(Malformed, match="Failed to deserialize the JSON body"):
        asyncio.run(venue.info.answer(body))


def test_naming_a_user_makes_the_account_with_the_balance(venue: Venue) -> None:
    """In any spelling; the deposit is the first row of its ledger."""
    address = "0x" + "Ab" * 20
    state = ask(venue, "clearinghouseState", user=address)
    assert state["withdrawable"] == "10000.0"
    assert address.lower() in venue.world.accounts
    [row] = ask(venue, "userNonFundingLedgerUpdates", user=address, startTime=0)
    assert row["delta"] == {"type": "deposit", "usdc": "10000"}


def test_fills_are_newest_first_and_by_time_oldest_first(busy: Venue) -> None:
    newest = busy.ask("userFills")
    oldest = busy.ask("userFillsByTime", startTime=0)
    assert newest == oldest[::-1]
    assert busy.ask("userFillsByTime", startTime=0, endTime=START - 1) == []


def test_settings_of_an_account(busy: Venue) -> None:
    assert busy.ask("userAbstraction") == "disabled"
    assert busy.ask("maxBuilderFee", builder="0x" + "00" * 20) == 0
    assert busy.ask("subAccounts") is None
    assert busy.ask("spotClearinghouseState") == {"balances": []}
    assert busy.ask("userFees")["userCrossRate"] == "0.00045"
    assert [name for name, _ in busy.ask("portfolio")][-1] == "perpAllTime"
    data = busy.ask("activeAssetData", coin="BTC")
    assert data["leverage"]["type"] == "isolated" and data["leverage"]["value"] == 5
    assert ask(busy, "spotMeta") == {"universe": [], "tokens": []}
    assert ask(busy, "perpDexs") == [None]
    assert ask(busy, "exchangeStatus") == {"time": busy.world.now, "specialStatuses": None}
    limits = busy.ask("userRateLimit")
    assert limits["nRequestsUsed"] == 5  # four orders and a change of leverage
    assert limits["nRequestsCap"] == 10_000 + int(Decimal(limits["cumVlm"]))


def test_the_liquidation_price_of_a_safe_cross_long_is_null(busy: Venue) -> None:
    assert busy.position("ETH")["liquidationPx"] is None
    assert Decimal(busy.position("BTC")["liquidationPx"]) < 60_000


def test_weights_follow_the_venues_table(venue: Venue) -> None:
    weigh = venue.info.weight
    assert [weigh({"type": kind}) for kind in ("l2Book", "userRole", "meta")] == [2, 60, 20]
    assert venue.info.extra_weight({"type": "candleSnapshot"}, [0] * 5_000) == 83
    assert venue.info.extra_weight({"type": "userFills"}, [0] * 45) == 2
    assert venue.info.extra_weight({"type": "meta"}, {}) == 0


def test_the_window_is_a_minute_of_market_time() -> None:
    window = RateWindow(100)
    assert window.admits(0, 60) and window.admits(30_000, 40)
    assert not window.admits(59_999, 1)
    assert window.admits(60_000, 60)
    assert not window.admits(60_000, 1)
    window.charge(89_000, 30)
    assert not window.admits(90_000, 20)
