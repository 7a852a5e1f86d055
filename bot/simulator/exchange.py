"""POST /exchange: who signed, may they, and who carries it out.

Owns the envelope (signer, nonce, expiry, budget of requests) and its answers; leaves the
actions themselves to their own modules. Source: facts 2 and 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.simulator.accounts import AccountState, Row
from bot.simulator.engine import Engine
from bot.simulator.errors import Error, Malformed, Refused
from bot.simulator.fields import field
from bot.simulator.margin_actions import MarginActions
from bot.simulator.order_actions import DEFAULT, OrderActions
from bot.simulator.signing import USER_SIGNED, recover
from bot.simulator.user_actions import UserActions
from bot.simulator.world import World

FREE_REQUESTS = 10_000  # plus one for each USDC traded (docs, "Rate limits")
CANCEL_EXTRA = 100_000
BUDGET_PAUSE_MS = 10_000
STALE_COST = 5  # times the requests of an action that came after its `expiresAfter`
CANCELS = ("cancel", "cancelByCloid")
ACTIONS = (
    "order",
    *CANCELS,
    "modify",
    "batchModify",
    "updateLeverage",
    "updateIsolatedMargin",
    "scheduleCancel",
    "noop",
    *USER_SIGNED,
)


class Exchange:
    """Carries out signed actions."""

    def __init__(self, world: World, engine: Engine) -> None:
        self._world = world
        self._orders = OrderActions(world, engine)
        self._margin = MarginActions(world)
        self._users = UserActions(world)

    def handle(self, body: object, wall: int) -> Row:
        """Answer one request; `wall` is signing time in ms. Raises Malformed."""
        if not isinstance(body, dict):
            raise Malformed
        action = field(body, "action", dict)
        kind = field(action, "type", str)
        nonce = field(body, "nonce", int)
        field(body, "signature", dict)
        if kind not in ACTIONS:
            raise Malformed
        if kind == "scheduleCancel" and action.get("time") is not None:
            field(action, "time", int)
        if body.get("expiresAfter") is not None:
            field(body, "expiresAfter", int)
        try:
            signer = recover(body)
            account = self._admitted(signer, kind, body, wall)
            self._world.dirty.nonces[signer] = self._world.nonces.use(signer, nonce, wall)
            self._pay(account, kind, body, wall)
            self._world.next_block()
            response = self._carry_out(account, kind, action, wall)
        except Refused as refusal:
            return {"status": "err", "response": str(refusal)}
        return {"status": "ok", "response": response}

    def batch_length(self, body: object) -> int:
        """How many entries an action has, for its weight."""
        action = body.get("action") if isinstance(body, dict) else None
        if not isinstance(action, dict):
            return 1
        for key in ("orders", "cancels", "modifies"):
            entries = action.get(key)
            if isinstance(entries, list):
                return len(entries)
        return 1

    def _admitted(self, signer: str, kind: str, body: Mapping[str, Any], wall: int) -> AccountState:
        """The account that acts. Raises Refused."""
        if kind in USER_SIGNED:  # a person's own: no agent signs it, no vault is meant
            own = self._world.accounts.get(signer)
            if own is None or own.is_empty:
                raise Refused(Error.NO_DEPOSIT, address=signer)
            return own
        account = self._users.principal(signer, wall)
        vault = body.get("vaultAddress")
        if vault is not None:
            raise Refused(Error.NO_VAULT, address=vault)
        if account.is_empty:
            raise Refused(Error.NO_DEPOSIT, address=account.address)
        return account

    def _carry_out(
        self, account: AccountState, kind: str, action: Mapping[str, Any], wall: int
    ) -> Row:
        match kind:
            case "order":
                return self._orders.order(account, action)
            case "cancel":
                return self._orders.cancel(account, action)
            case "cancelByCloid":
                return self._orders.cancel_by_cloid(account, action)
            case "modify":
                return self._orders.modify(account, action)
            case "batchModify":
                return self._orders.batch_modify(account, action)
            case "scheduleCancel":
                return self._orders.schedule(account, action)
            case "updateLeverage":
                return self._margin.leverage(account, action)
            case "updateIsolatedMargin":
                return self._margin.isolated_margin(account, action)
            case "approveAgent":
                return self._users.approve_agent(account, action, wall)
            case "usdClassTransfer":
                return self._users.transfer(account, action)
            case "withdraw3":
                return self._users.withdraw(account, action)
            case "usdSend":
                return self._users.send(account, action)
            case "userSetAbstraction":
                return self._users.set_abstraction(account, action)
            case _:
                return DEFAULT

    def _pay(self, account: AccountState, kind: str, body: Mapping[str, Any], wall: int) -> None:
        """Count the entries of an action against the address's budget; a stale one costs more.

        Over the budget one action passes in 10 s of market time; what is refused costs
        nothing and does not restart the pause (facts 5). Raises Refused.
        """
        count = max(1, self.batch_length(body))
        expires = body.get("expiresAfter")
        if expires is not None and wall > expires:
            account.requests += STALE_COST * count
            self._world.touched(account)
            raise Refused(Error.EXPIRED)
        cap = request_cap(account)
        limit = min(cap + CANCEL_EXTRA, 2 * cap) if kind in CANCELS else cap
        used, now = account.requests + count, self._world.now
        if used > limit and self._world.options.rate_limit:
            if now - account.last_pass < BUDGET_PAUSE_MS:
                raise Refused(Error.BUDGET, used=used, cap=limit, volume=f"{account.volume:.2f}")
            account.last_pass = now
        account.requests = used
        self._world.touched(account)


def request_cap(account: AccountState) -> int:
    """Requests an address may have sent so far; cancels may exceed it."""
    return FREE_REQUESTS + int(account.volume)
