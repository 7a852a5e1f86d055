"""The account's non-funding ledger as transfers: what came into the collateral and went out.

Owns which ledger row moves how much; knows no request. Source: facts 1.3
(`userNonFundingLedgerUpdates`) and the venue's page on the `userNonFundingLedgerUpdates` feed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import structlog

from bot.adapters.venues.hyperliquid.shapes import Row, rows_of
from bot.domain.types import ZERO, Ms, Transfer

log = structlog.get_logger(__name__)

USDC = "USDC"
# Ledger rows that say what trades did (their money is in the fills), or move other tokens.
NO_TRANSFER = frozenset(
    {"liquidation", "rewardsClaim", "spotGenesis", "cStakingTransfer", "borrowLend", "perpDexClass"}
)


def transfers(answer: object, account: str, *, unified: bool) -> tuple[Transfer, ...]:
    """Transfers of the perpetuals' collateral, oldest first; those that move nothing are left out.

    `unified`: spot USDC is the collateral too, so moving between the two moves nothing.
    Raises UnreadableAnswer.
    """
    found = []
    for row in rows_of("userNonFundingLedgerUpdates", answer):
        delta = row.row("delta")
        kind, usd = delta.text("type"), _usd(delta, account.lower(), unified)
        if usd:
            found.append(Transfer(Ms(row.integer("time")), usd, kind))
    return tuple(sorted(found, key=lambda each: each.at))


def _usd(delta: Row, account: str, unified: bool) -> Decimal:
    """USD into (positive) or out of the collateral."""
    kind = delta.text("type")
    if kind in ("spotTransfer", "send"):
        return _sent(delta, account) if unified and delta.text("token") == USDC else ZERO
    if kind == "accountClassTransfer":
        usd = delta.decimal("usdc")
        return ZERO if unified else usd if delta.flag("toPerp") else -usd
    read = _KINDS.get(kind)
    if read is not None:
        return read(delta, account)
    if kind not in NO_TRANSFER:
        log.warning("ledger_row_unknown", kind=kind, has_usdc=delta.has("usdc"))
    return ZERO


def _sent(delta: Row, account: str) -> Decimal:
    """Between two users: in for the destination, out with its fee for the sender."""
    usd = delta.decimal("amount" if delta.has("amount") else "usdc")
    sender, receiver = delta.text("user").lower(), delta.text("destination").lower()
    if sender == receiver:
        return ZERO
    return usd if receiver == account else -usd - delta.decimal_or("fee", ZERO)


_KINDS: Mapping[str, Callable[[Row, str], Decimal]] = {
    "deposit": lambda delta, _: delta.decimal("usdc"),
    # An assumption, as docs/simulator.md says: `usdc` is what arrives, the fee left beside it.
    "withdraw": lambda delta, _: -delta.decimal("usdc") - delta.decimal_or("fee", ZERO),
    "internalTransfer": _sent,
    "subAccountTransfer": _sent,
    "vaultCreate": lambda delta, _: -delta.decimal("usdc") - delta.decimal_or("fee", ZERO),
    "vaultDeposit": lambda delta, _: -delta.decimal("usdc"),
    "vaultDistribution": lambda delta, _: delta.decimal("usdc"),
    "vaultWithdraw": lambda delta, _: delta.decimal("netWithdrawnUsd"),
}
