"""The venue's ledger as transfers: which row moves how much collateral, which way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bot.adapters.venues.hyperliquid.parse_transfers import transfers
from bot.adapters.venues.hyperliquid.shapes import UnreadableAnswer
from bot.domain.types import Ms, Transfer

ME, OTHER = "0x" + "a" * 40, "0x" + "b" * 40


def row(kind: str, at: int = 1, **fields: Any) -> dict[str, Any]:
    return {"time": at, "hash": "0x0", "delta": {"type": kind, **fields}}


BETWEEN = {"user": ME.upper().replace("X", "x"), "destination": OTHER}
BACK = {"user": OTHER, "destination": ME}


@pytest.mark.parametrize(
    ("kind", "fields", "classic", "unified"),
    [
        ("deposit", {"usdc": "100.5"}, "100.5", "100.5"),
        ("withdraw", {"usdc": "10", "fee": "1.0", "nonce": 1}, "-11", "-11"),
        ("accountClassTransfer", {"usdc": "5", "toPerp": True}, "5", None),
        ("accountClassTransfer", {"usdc": "5", "toPerp": False}, "-5", None),
        ("internalTransfer", {"usdc": "7", "fee": "0.5", **BETWEEN}, "-7.5", "-7.5"),
        ("internalTransfer", {"usdc": "7", "fee": "0.5", **BACK}, "7", "7"),
        ("subAccountTransfer", {"usdc": "7", **BACK}, "7", "7"),
        ("vaultDeposit", {"usdc": "3", "vault": OTHER}, "-3", "-3"),
        ("vaultWithdraw", {"netWithdrawnUsd": "2.9", "vault": OTHER}, "2.9", "2.9"),
        ("spotTransfer", {"token": "USDC", "amount": "4", **BACK}, None, "4"),
        ("spotTransfer", {"token": "PURR", "amount": "4", **BACK}, None, None),
        ("liquidation", {"accountValue": "1"}, None, None),
        ("somethingNew", {"usdc": "1"}, None, None),
    ],
)
def test_each_ledger_row_moves_what_it_says(
    kind: str, fields: dict[str, Any], classic: str | None, unified: str | None
) -> None:
    """In is positive; what stays within the collateral moves nothing."""
    for is_unified, usd in ((False, classic), (True, unified)):
        expected = () if usd is None else (Transfer(Ms(1), Decimal(usd), kind),)
        assert transfers([row(kind, **fields)], ME, unified=is_unified) == expected


def test_transfers_come_oldest_first_and_a_broken_row_is_an_error() -> None:
    """A row that cannot be read is never a transfer of nothing."""
    rows = [row("deposit", 9, usdc="1"), row("deposit", 2, usdc="2")]
    assert [each.at for each in transfers(rows, ME, unified=False)] == [2, 9]
    with pytest.raises(UnreadableAnswer):
        transfers([row("deposit", usdc="much")], ME, unified=False)
