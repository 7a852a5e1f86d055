"""Agents: who may trade for whom, how long, and what their own addresses answer."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hyperliquid.utils.signing import sign_agent

from tests.unit.simulator.given import BTC, ETH, OTHER_KEY, WALL, Venue, limit

AGENT_KEY, NEW_KEY = "0x" + "33" * 32, "0x" + "44" * 32
AGENT = Account.from_key(AGENT_KEY).address.lower()
NEW = Account.from_key(NEW_KEY).address.lower()
NOBODY = "0x" + "0" * 40
DAY_MS = 86_400_000
NOOP: dict[str, Any] = {"type": "noop"}


def approve(
    venue: Venue, address: str = AGENT, name: str = "", *, key: str | None = None, wall: int = WALL
) -> dict[str, Any]:
    venue.nonce += 1
    action: dict[str, Any] = {
        "type": "approveAgent",
        "agentAddress": address,
        "agentName": name,
        "nonce": venue.nonce,
    }
    wallet = Account.from_key(key) if key else venue.wallet
    signature = sign_agent(wallet, action, False)
    if not name:
        del action["agentName"]  # as the SDK does after signing ""
    body = {"action": action, "nonce": action["nonce"], "signature": signature}
    answer = venue.exchange.handle(body, wall)
    venue.world.save()
    return answer


def test_an_agent_trades_for_its_master(venue: Venue) -> None:
    """The order is the master's; the agent's own address answers empty, and says whose it is."""
    assert approve(venue)["status"] == "ok"
    order = {"type": "order", "orders": [limit(ETH, "1", "3010", "Ioc")], "grouping": "na"}
    assert "filled" in venue.act(order, key=AGENT_KEY)["response"]["data"]["statuses"][0]
    assert venue.size("ETH") == 1
    leverage = {"type": "updateLeverage", "asset": BTC, "isCross": False, "leverage": 3}
    assert venue.act(leverage, key=AGENT_KEY)["status"] == "ok"
    asked = venue.ask("clearinghouseState", user=AGENT)
    assert asked["marginSummary"]["accountValue"] == "0.0" and asked["assetPositions"] == []
    assert venue.ask("userRole", user=AGENT) == {"role": "agent", "data": {"user": venue.user}}
    assert venue.ask("userRole") == {"role": "user"}
    assert AGENT not in venue.world.accounts


def test_an_agent_has_nonces_of_its_own(venue: Venue) -> None:
    """By signer: the master's number is free for the agent."""
    approve(venue)
    assert venue.act(NOOP, nonce=WALL + 50_000)["status"] == "ok"
    assert venue.act(NOOP, nonce=WALL + 50_000, key=AGENT_KEY)["status"] == "ok"


def test_only_named_agents_are_listed(venue: Venue) -> None:
    approve(venue)
    approve(venue, NEW, "desk")
    row = {"name": "desk", "address": NEW, "validUntil": WALL + 90 * DAY_MS}
    assert venue.ask("extraAgents") == [row]


def test_an_agent_signs_nothing_that_is_the_persons(venue: Venue) -> None:
    """Approving agents is the master's own; the answer is the one of an empty account."""
    approve(venue)
    text = f"Must deposit before performing actions. User: {AGENT}"
    assert approve(venue, NEW, "x", key=AGENT_KEY)["response"] == text
    assert approve(venue, NEW, "x", key=OTHER_KEY)["response"].startswith("Must deposit")


def test_who_has_deposited_nothing_approves_nobody(tmp_path: Path) -> None:
    venue = Venue(tmp_path, balance=Decimal(0))
    text = f"Must deposit before performing actions. User: {venue.user}"
    assert approve(venue)["response"] == text
    venue.world.ledger.close()


@pytest.mark.parametrize("name", ["", "desk"])
def test_a_name_that_is_taken_moves_to_the_new_key(venue: Venue, name: str) -> None:
    """At once; the old key is told to deposit, a little later that it does not exist."""
    approve(venue, AGENT, name)
    assert approve(venue, NEW, name)["status"] == "ok"
    assert venue.act(NOOP, key=NEW_KEY)["status"] == "ok"
    text = f"Must deposit before performing actions. User: {AGENT}"
    assert venue.act(NOOP, key=AGENT_KEY)["response"] == text
    body = venue.signed(NOOP, key=AGENT_KEY)
    later = venue.exchange.handle(body, WALL + 5_001)
    assert later["response"] == f"User or API Wallet {AGENT} does not exist."
    assert approve(venue, AGENT, "again")["response"] == "Extra agent already used."


def test_a_removed_agent_is_gone_and_blocks_new_ones_for_five_seconds(venue: Venue) -> None:
    approve(venue, AGENT, "desk")
    assert approve(venue, NOBODY, "desk")["status"] == "ok"
    assert venue.act(NOOP, key=AGENT_KEY)["status"] == "err"
    assert approve(venue, NEW, "desk")["response"] == "User has pending agent removal"
    assert approve(venue, NEW, "desk", wall=WALL + 5_000)["status"] == "ok"


def test_an_agent_ends_with_its_time(venue: Venue) -> None:
    """`valid_until` in the name, wall time; without it 90 days."""
    approve(venue, AGENT, f"desk valid_until {WALL + 1_000}")
    assert venue.ask("extraAgents")[0]["name"] == "desk"
    assert venue.exchange.handle(venue.signed(NOOP, key=AGENT_KEY), WALL + 999)["status"] == "ok"
    answer = venue.exchange.handle(venue.signed(NOOP, key=AGENT_KEY), WALL + 1_001)
    assert answer["response"] == f"User or API Wallet {AGENT} does not exist."


def test_agents_survive_the_process(venue: Venue) -> None:
    approve(venue, AGENT, "desk")
    approve(venue, NEW, "desk")
    again = venue.reopen()
    assert again.act(NOOP, key=NEW_KEY)["status"] == "ok"
    assert again.act(NOOP, key=AGENT_KEY)["response"].startswith("Must deposit")
    again.world.ledger.close()
