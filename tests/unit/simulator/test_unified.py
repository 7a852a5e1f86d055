"""Accounts that keep perpetuals and spot in one pot, and those that keep them apart."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hyperliquid.utils.signing import (
    sign_usd_class_transfer_action,
    sign_user_set_abstraction_action,
)

from bot.domain.errors import ConfigError
from bot.simulator import SimulatorOptions
from tests.unit.simulator.given import BTC, ETH, WALL, Venue, limit

D = Decimal


@pytest.fixture
def unified(tmp_path: Path) -> Iterator[Venue]:
    made = Venue(tmp_path, abstraction="unifiedAccount")
    yield made
    made.world.ledger.close()


def usdc(venue: Venue) -> dict[str, Any]:
    [row] = venue.ask("spotClearinghouseState")["balances"]
    assert (row["coin"], row["token"]) == ("USDC", 0)
    return dict(row)


def of_person(venue: Venue, action: dict[str, Any]) -> dict[str, Any]:
    """A user-signed action."""
    venue.nonce += 1
    action |= {"nonce": venue.nonce}
    sign = {
        "usdClassTransfer": sign_usd_class_transfer_action,
        "userSetAbstraction": sign_user_set_abstraction_action,
    }[action["type"]]
    signature = sign(venue.wallet, action, False)
    body = {"action": action, "nonce": action["nonce"], "signature": signature}
    return venue.exchange.handle(body, WALL)


@pytest.mark.parametrize("mode", ["disabled", "default", "unifiedAccount", "portfolioMargin"])
def test_the_mode_is_answered_as_a_word(tmp_path: Path, mode: str) -> None:
    venue = Venue(tmp_path, abstraction=mode)
    assert venue.ask("userAbstraction") == mode
    venue.world.ledger.close()


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="abstraction: expected one of disabled"):
        SimulatorOptions(Path("s.db"), abstraction="unified")


def test_collateral_is_in_the_spot_state(unified: Venue) -> None:
    """clearinghouseState is no equity there: flat, it is all zeros."""
    assert usdc(unified) | {"entryNtl": "0.0"} == {
        "coin": "USDC", "token": 0, "total": "10000.0", "hold": "0.0", "entryNtl": "0.0"
    }  # fmt: skip
    state = unified.ask("clearinghouseState")
    assert set(state["marginSummary"].values()) == {"0.0"}
    assert state["withdrawable"] == "0.0"


@pytest.mark.parametrize("cross", [True, False])
def test_total_and_open_profit_are_the_equity_and_hold_is_the_margin(
    tmp_path: Path, cross: bool
) -> None:
    """The same account in the other mode says as much in one number."""
    figures = []
    for mode in ("unifiedAccount", "disabled"):
        venue = Venue(tmp_path / mode, abstraction=mode)
        venue.leverage(ETH, 5, cross=cross)
        venue.leverage(BTC, 5, cross=not cross)
        venue.place(limit(ETH, "2", "3010", "Ioc"), limit(BTC, "-0.02", "59900", "Ioc"))
        venue.place(limit(ETH, "1", "2900"))
        venue.tick(ETH=3050.0, BTC=60_500.0)
        state = venue.ask("clearinghouseState")
        gain = sum(D(row["position"]["unrealizedPnl"]) for row in state["assetPositions"])
        figures.append((venue, state, gain))
    (one, _, gain), (other, state, _) = figures
    row = usdc(one)
    assert D(row["total"]) + gain == D(state["marginSummary"]["accountValue"])
    assert 0 < D(row["hold"]) < D(row["total"])
    assert one.ask("activeAssetData", coin="ETH") == other.ask("activeAssetData", coin="ETH")
    for venue, _, _ in figures:
        venue.world.ledger.close()


def test_the_algebra_of_the_perp_state_holds_there_too(unified: Venue) -> None:
    """Account value = raw + signed notionals."""
    unified.leverage(ETH, 5, cross=True)
    unified.leverage(BTC, 5)
    unified.place(limit(ETH, "-2", "2990", "Ioc"), limit(BTC, "0.02", "60100", "Ioc"))
    unified.tick(ETH=3050.0)
    state = unified.ask("clearinghouseState")
    prices = unified.world.prices
    signed = -2 * prices.mark("ETH") + D("0.02") * prices.mark("BTC")
    summary = state["marginSummary"]
    assert abs(D(summary["accountValue"]) - D(summary["totalRawUsd"]) - signed) < D("0.00001")
    open_profit = D(unified.position("ETH")["unrealizedPnl"])
    assert D(state["crossMarginSummary"]["accountValue"]) == open_profit
    apart = D(unified.position("BTC")["marginUsed"])
    assert abs(D(summary["accountValue"]) - open_profit - apart) < D("0.00001")


@pytest.mark.parametrize("cross", [True, False])
def test_what_a_position_and_a_resting_order_bind_is_held(unified: Venue, cross: bool) -> None:
    """Initial margin at mark, or what was put apart; and the margin of the order."""
    unified.leverage(ETH, 5, cross=cross)
    unified.leverage(BTC, 5, cross=True)
    unified.place(limit(ETH, "2", "3010", "Ioc"))
    put_apart = D(unified.position("ETH")["entryPx"]) * 2 / 5
    unified.tick(ETH=3050.0)
    unified.place(limit(BTC, "0.01", "50000"))
    expected = (D(3050) * 2 / 5 if cross else put_apart) + 100
    assert abs(D(usdc(unified)["hold"]) - expected) < D("0.00001")


def test_moving_usdc_is_refused_in_one_pot_and_done_between_two(venue: Venue) -> None:
    """What leaves the perpetuals is no margin any more."""
    out: dict[str, Any] = {"type": "usdClassTransfer", "amount": "4000", "toPerp": False}
    assert of_person(venue, dict(out))["status"] == "ok"
    assert usdc(venue)["total"] == "4000.0"
    assert venue.ask("clearinghouseState")["withdrawable"] == "6000.0"
    assert of_person(venue, out | {"amount": "6000.01"})["status"] == "err"
    assert of_person(venue, out | {"amount": "1000", "toPerp": True})["status"] == "ok"
    assert venue.ask("clearinghouseState")["withdrawable"] == "7000.0"
    wish = {"type": "userSetAbstraction", "user": venue.user, "abstraction": "unifiedAccount"}
    assert of_person(venue, wish)["status"] == "ok"
    assert usdc(venue)["total"] == "10000.0"
    text = "Action disabled when unified account is active"
    assert of_person(venue, dict(out)) == {"status": "err", "response": text}


def test_the_mode_survives_the_process(unified: Venue) -> None:
    again = unified.reopen()
    again.options = SimulatorOptions(unified.options.ledger)
    assert again.ask("userAbstraction") == "unifiedAccount"
    again.world.ledger.close()


def test_ledgers_of_before_the_modes_are_read(venue: Venue) -> None:
    """A row without the later fields is an account as it was."""
    import json

    from bot.simulator.accounts import account_of, account_text

    body = json.loads(account_text(venue.world.accounts[venue.user]))
    for later in ("cancels_fired", "whole_until", "abstraction", "spot", "agents", "retired",
                  "removal_until"):  # fmt: skip
        del body[later]
    old = account_of(venue.user, json.dumps(body))
    assert (old.abstraction, len(old.agents), old.cash) == ("disabled", 0, D(10_000))
