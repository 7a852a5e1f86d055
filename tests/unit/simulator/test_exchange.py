"""Signers, nonces, expiry and forms of POST /exchange."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from bot.domain.types import Ms
from bot.simulator.errors import Error, Malformed
from bot.simulator.signing import recover
from tests.unit.simulator.given import ETH, KEY, OTHER_KEY, WALL, Venue, cloid, limit

NOOP: dict[str, Any] = {"type": "noop"}
DAY_MS = 86_400_000


def error(answer: dict[str, Any]) -> str:
    assert answer["status"] == "err"
    return str(answer["response"])


def test_an_unknown_signer_does_not_exist(venue: Venue) -> None:
    """Only an address that /info has named, or --account, is an account."""
    other = Account.from_key(OTHER_KEY).address.lower()
    text = f"User or API Wallet {other} does not exist."
    assert error(venue.act(NOOP, key=OTHER_KEY)) == text
    venue.world.admit(other)
    assert venue.act(NOOP, key=OTHER_KEY) == {"status": "ok", "response": {"type": "default"}}


def test_a_wrong_signature_recovers_to_a_stranger(venue: Venue) -> None:
    """Bytes other than the signed ones belong to somebody who does not exist."""
    body = venue.signed({"type": "order", "orders": [limit(ETH, "1", "2900")], "grouping": "na"})
    body["action"]["orders"][0]["p"] = "2901"
    text = error(venue.exchange.handle(body, WALL))
    assert text.startswith("User or API Wallet 0x") and text.endswith(" does not exist.")
    assert venue.user not in text
    assert venue.ask("openOrders") == []


def test_key_order_is_part_of_what_is_signed(venue: Venue) -> None:
    body = venue.signed({"type": "order", "orders": [limit(ETH, "1", "2900")], "grouping": "na"})
    order = body["action"]["orders"][0]
    body["action"]["orders"] = [dict(reversed(order.items()))]
    assert "does not exist" in error(venue.exchange.handle(body, WALL))


def test_a_mainnet_signature_is_a_strangers(venue: Venue) -> None:
    """This venue is never mainnet: nothing signed here can be replayed there."""
    from hyperliquid.utils.signing import sign_l1_action

    body = venue.signed(NOOP)
    wallet = Account.from_key(KEY)
    body["signature"] = sign_l1_action(wallet, NOOP, None, body["nonce"], None, True)
    assert "does not exist" in error(venue.exchange.handle(body, WALL))


def test_short_hex_of_r_and_s_is_read_as_a_number(venue: Venue) -> None:
    """The SDK strips leading zeros of r and s."""
    shortest = 66
    for _ in range(200):
        body = venue.signed(NOOP)
        shortest = min(shortest, len(body["signature"]["r"]), len(body["signature"]["s"]))
        assert recover(body) == venue.user
    assert shortest < 66


def test_idle_zeros_and_capital_letters_are_normalised_before_hashing(venue: Venue) -> None:
    """The venue hashes its own form of the action, not the client's text."""
    plain = limit(ETH, "1", "2900", cloid=cloid(0xABCDEF))
    body = venue.signed({"type": "order", "orders": [plain], "grouping": "na"})
    loud = copy.deepcopy(body)
    capitals = "0x" + str(plain["c"])[2:].upper()
    loud["action"]["orders"][0] |= {"p": "2900.0", "s": "1.00", "c": capitals}
    assert recover(loud) == venue.user


@pytest.mark.parametrize(
    "signature",
    [
        {"r": "0x0", "s": "0x0", "v": 27},
        {"r": "0x1", "s": "0x1", "v": 99},
        {"r": "zz", "s": "0x1", "v": 27},
        {"r": None, "s": "0x1", "v": 27},
        {},
    ],
)
def test_a_broken_signature_cannot_be_recovered(venue: Venue, signature: dict[str, Any]) -> None:
    body = venue.signed(NOOP) | {"signature": signature}
    assert error(venue.exchange.handle(body, WALL)) == "Unable to recover signer"


def test_a_nonce_is_used_once(venue: Venue) -> None:
    assert venue.act(NOOP, nonce=WALL + 7)["status"] == "ok"
    text = f"Invalid nonce: duplicate nonce {WALL + 7}"
    assert error(venue.act(NOOP, nonce=WALL + 7)) == text


def test_nonces_lie_within_two_days_back_and_one_ahead(venue: Venue) -> None:
    """In wall time, whatever market time says."""
    low, high = WALL - 2 * DAY_MS, WALL + DAY_MS
    assert error(venue.act(NOOP, nonce=low)) == f"Invalid nonce: nonce too low {low} < {low}"
    assert error(venue.act(NOOP, nonce=high)) == f"Invalid nonce: nonce too high {high} > {high}"
    assert venue.act(NOOP, nonce=low + 1)["status"] == "ok"
    assert venue.act(NOOP, nonce=high - 1)["status"] == "ok"


def test_the_hundred_highest_nonces_are_kept(venue: Venue) -> None:
    """Below the lowest kept one everything is too low; above it any order will do."""
    for number in range(100):
        venue.act(NOOP, nonce=WALL + 1_000 + 2 * number)
    text = f"Invalid nonce: nonce too low {WALL} < {WALL + 1_000}"
    assert error(venue.act(NOOP, nonce=WALL)) == text
    assert venue.act(NOOP, nonce=WALL + 1_001)["status"] == "ok"
    text = f"Invalid nonce: nonce too low {WALL + 1_000} < {WALL + 1_001}"
    assert error(venue.act(NOOP, nonce=WALL + 1_000)) == text  # forgotten, so no duplicate


def test_an_expired_action_is_refused(venue: Venue) -> None:
    """expiresAfter is wall time; the nonce is spent all the same."""
    assert error(venue.act(NOOP, expires=WALL - 1)) == "Action already expired"
    assert venue.act(NOOP, expires=WALL + 1)["status"] == "ok"


def test_a_vault_is_not_registered(venue: Venue) -> None:
    vault = "0x" + "ab" * 20
    assert error(venue.act(NOOP, vault=vault)) == f"Vault not registered: {vault}"


def test_a_builder_is_not_approved(venue: Venue) -> None:
    orders = [limit(ETH, "1", "2900")]
    action: dict[str, Any] = {"type": "order", "orders": orders, "grouping": "na"}
    action["builder"] = {"b": "0x" + "ab" * 20, "f": 10}
    assert error(venue.act(action)) == "Builder fee has not been approved"


def test_too_many_cancels_in_one_action(venue: Venue) -> None:
    action = {"type": "cancel", "cancels": [{"a": ETH, "o": n} for n in range(201)]}
    assert error(venue.act(action)) == "Signed action over weight limit of 200."


def test_an_exhausted_address_passes_once_in_ten_seconds(venue: Venue) -> None:
    """10,000 requests plus one a USDC traded; refusals are free."""
    account = venue.world.accounts[venue.user]
    account.requests = 10_000
    action = {"type": "order", "orders": [limit(ETH, "1", "2900")], "grouping": "na"}
    assert venue.act(action)["status"] == "ok"
    text = error(venue.act(action))
    assert text.startswith("Too many cumulative requests sent (10002 > 10000) for cumulative")
    assert account.requests == 10_001
    oid = venue.ask("openOrders")[0]["oid"]
    assert venue.cancel(ETH, oid) == "success"
    venue.tick()
    venue.tick()
    assert venue.act(action)["status"] == "ok"


@pytest.mark.parametrize(
    "change",
    [
        {"action": None},
        {"action": {"type": "spotSend"}},
        {"action": {"type": "order", "orders": [{"a": 1}], "grouping": "na"}},
        {"action": {"type": "order", "orders": [], "grouping": "odd"}},
        {"action": {"type": "cancel", "cancels": [{"a": "1", "o": 5}]}},
        {"nonce": "5"},
        {"nonce": True},
    ],
)
def test_what_is_no_action_is_malformed(venue: Venue, change: dict[str, Any]) -> None:
    body = venue.signed(change.get("action") or NOOP) | change
    with pytest.raises(Malformed, match=Error.MALFORMED.says()):
        venue.exchange.handle(body, WALL)


@pytest.mark.parametrize(
    "order",
    [
        limit(ETH, "1", "1e3"),
        limit(ETH, "1", "-5"),
        limit(ETH, "1", "2900", "Day"),
        limit(ETH, "1", "2900", cloid="0x12"),
        limit(99, "1", "2900"),
        limit(ETH, "1", "2900") | {"t": {"trigger": {"isMarket": True}}},
    ],
)
def test_what_is_no_order_is_malformed(venue: Venue, order: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        venue.act({"type": "order", "orders": [order], "grouping": "na"})


def test_answers_are_json(venue: Venue) -> None:
    answer = venue.act({"type": "order", "orders": [limit(ETH, "1", "2900")], "grouping": "na"})
    assert json.loads(json.dumps(answer)) == answer


def test_cancels_go_on_when_orders_may_not(venue: Venue) -> None:
    """Up to min(cap + 100,000, 2 cap); userRateLimit shows what was counted."""
    account = venue.world.accounts[venue.user]
    account.requests, account.last_pass = 19_998, venue.world.now
    cancel = {"type": "cancel", "cancels": [{"a": ETH, "o": 1}, {"a": ETH, "o": 2}]}
    assert venue.act(cancel)["status"] == "ok"
    assert venue.ask("userRateLimit")["nRequestsUsed"] == 20_000
    text = "Too many cumulative requests sent (20002 > 20000) for cumulative volume traded $0.00."
    assert error(venue.act(cancel)).startswith(text)
    account.volume = Decimal(150_000)
    assert venue.ask("userRateLimit")["nRequestsCap"] == 160_000
    account.requests = 260_000
    assert error(venue.act(cancel)).startswith("Too many cumulative requests sent (260002 > 260000")


def test_refusals_neither_cost_nor_restart_the_pause(venue: Venue) -> None:
    """One action in 10 s, however often one asks meanwhile."""
    account = venue.world.accounts[venue.user]
    account.requests, account.last_pass = 10_000, venue.world.now
    for ms in (0, 5_000, 9_999):
        venue.world.now = Ms(account.last_pass + ms)
        assert error(venue.act(NOOP)).startswith("Too many cumulative requests")
    assert account.requests == 10_000
    venue.world.now = Ms(account.last_pass + 10_000)
    assert venue.act(NOOP)["status"] == "ok"
    assert error(venue.act(NOOP)).startswith("Too many cumulative requests")


def test_every_usdc_traded_frees_a_request(venue: Venue) -> None:
    account = venue.world.accounts[venue.user]
    account.requests, account.last_pass, account.volume = 10_000, venue.world.now, Decimal("1.9")
    assert venue.act(NOOP)["status"] == "ok"
    assert error(venue.act(NOOP)).startswith("Too many cumulative requests sent (10002 > 10001)")


def test_a_stale_action_costs_five(venue: Venue) -> None:
    before = venue.ask("userRateLimit")["nRequestsUsed"]
    venue.act(NOOP, expires=WALL - 1)
    assert venue.ask("userRateLimit")["nRequestsUsed"] == before + 5


def test_the_budget_can_be_switched_off(tmp_path: Path) -> None:
    venue = Venue(tmp_path, rate_limit=False)
    venue.world.accounts[venue.user].requests = 50_000
    assert venue.act(NOOP)["status"] == venue.act(NOOP)["status"] == "ok"
    venue.world.ledger.close()


def test_open_orders_are_bounded_by_volume(tmp_path: Path) -> None:
    """1,000 and one more for each 5 M USDC; what only reduces has no such bonus."""
    venue = Venue(tmp_path, rate_limit=False, balance=Decimal(100_000_000))
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    for _ in range(5):
        venue.place(*[limit(ETH, "0.01", "2900")] * 200)
    text = {"error": f"Too many open orders asset={ETH}"}
    assert venue.place(limit(ETH, "0.01", "2900")) == [text]
    venue.world.accounts[venue.user].volume = Decimal(5_000_000)
    assert venue.place(limit(ETH, "-1", "3100", reduce_only=True)) == [text]
    assert "resting" in venue.place(limit(ETH, "0.01", "2900"))[0]
    assert venue.place(limit(ETH, "0.01", "2900")) == [text]
    venue.world.ledger.close()
