"""Money that comes in and goes out: the balance, the ledger row, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hyperliquid.utils.signing import sign_usd_transfer_action, sign_withdraw_from_bridge_action

from tests.unit.simulator.given import ETH, WALL, Venue, limit

OTHER = "0x" + "5" * 40
SIGN = {"withdraw3": sign_withdraw_from_bridge_action, "usdSend": sign_usd_transfer_action}


def send(venue: Venue, kind: str, amount: str, to: str = OTHER) -> dict[str, Any]:
    """A transfer that the account's owner signs."""
    venue.nonce += 1
    action: dict[str, Any] = {"type": kind, "amount": amount, "destination": to}
    action["time"] = venue.nonce
    signature = SIGN[kind](venue.wallet, action, False)
    body = {"action": action, "nonce": venue.nonce, "signature": signature}
    answer = venue.exchange.handle(body, WALL)
    venue.world.save()
    return answer


def worth(venue: Venue) -> Decimal:
    return Decimal(venue.ask("clearinghouseState")["marginSummary"]["accountValue"])


def ledger(venue: Venue) -> list[dict[str, Any]]:
    rows = venue.ask("userNonFundingLedgerUpdates", startTime=0)
    return [row["delta"] for row in rows]


def test_a_withdrawal_leaves_with_its_fee(venue: Venue) -> None:
    """The fee is part of the amount; the ledger says both."""
    before = worth(venue)
    assert send(venue, "withdraw3", "100.0")["status"] == "ok"
    assert worth(venue) == before - 100
    row = ledger(venue)[-1]
    assert row["type"] == "withdraw"
    assert Decimal(row["usdc"]) + Decimal(row["fee"]) == 100


def test_usdc_sent_arrives_with_the_other(venue: Venue) -> None:
    """Both ledgers have the row."""
    before = worth(venue)
    assert send(venue, "usdSend", "250.5")["status"] == "ok"
    assert worth(venue) == before - Decimal("250.5")
    theirs = venue.world.accounts[OTHER]
    assert theirs.updates[-1]["delta"] == ledger(venue)[-1]
    assert theirs.updates[-1]["delta"]["type"] == "internalTransfer"


@pytest.mark.parametrize("kind", ["withdraw3", "usdSend"])
def test_more_than_is_free_is_refused(venue: Venue, kind: str) -> None:
    """Margin of an open position stays."""
    venue.place(limit(ETH, "10", "3010", "Ioc"))
    answer = send(venue, kind, str(worth(venue)))
    assert answer["status"] == "err"


def test_a_deposit_arrives_from_outside(venue: Venue) -> None:
    """As the row that the venue writes for one."""
    before = worth(venue)
    venue.world.deposit(venue.user, Decimal(75))
    assert worth(venue) == before + 75
    assert ledger(venue)[-1] == {"type": "deposit", "usdc": "75"}
