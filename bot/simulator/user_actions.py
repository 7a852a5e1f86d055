"""Actions that a person signs: agents, transfers between the two balances, account modes.

Owns who may trade for whom; knows no order and no signature. Source: facts 1.4, 2.1, 2.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bot.simulator import margining
from bot.simulator.accounts import AccountState, Agent, Row
from bot.simulator.errors import Error, Malformed, Refused
from bot.simulator.fields import field, number
from bot.simulator.options import MODES, is_address
from bot.simulator.order_actions import DEFAULT
from bot.simulator.world import World

DAY_MS = 86_400_000
NAMED_AGENTS = 3  # beside one without a name
NAME_LENGTH = 16
LIFE_MS = 90 * DAY_MS  # unless the name says otherwise
LONGEST_MS = 180 * DAY_MS
REMOVAL_MS = 5_000  # after a removal nobody is approved, and a replaced key has its own answer
WITHDRAWAL_FEE = Decimal(1)  # USD (docs, "Withdraw")
VALID_UNTIL = re.compile(r"(.*) valid_until ([0-9]+)")
NOBODY = "0x" + "0" * 40


class UserActions:
    """Carries out what a master signs for itself."""

    def __init__(self, world: World) -> None:
        self._world = world

    def principal(self, signer: str, wall: int) -> AccountState:
        """The account a key trades for: its own, or its master's. Raises Refused."""
        accounts = self._world.accounts
        for account in accounts.values():
            for agent in account.agents:
                if agent.address == signer and wall <= agent.until:
                    return account
            if wall < account.retired.get(signer, 0) + REMOVAL_MS:
                raise Refused(Error.NO_DEPOSIT, address=signer)
            if signer in account.retired or signer in (a.address for a in account.agents):
                raise Refused(Error.NO_ACCOUNT, address=signer)
        found = accounts.get(signer)
        if found is None:
            raise Refused(Error.NO_ACCOUNT, address=signer)
        return found

    def approve_agent(self, account: AccountState, action: Mapping[str, Any], wall: int) -> Row:
        """Let a key trade; a name that is taken moves to the new key, address 0 removes it."""
        address = field(action, "agentAddress", str).lower()
        if not is_address(address):
            raise Malformed("agentAddress")
        name, until = _name_and_end(action, wall)
        known = next((agent for agent in account.agents if agent.name == name), None)
        if wall < account.removal_until:
            raise Refused(Error.AGENT_REMOVAL)
        if address == NOBODY:
            if known is None:
                raise Refused(Error.NO_AGENT)
            account.removal_until = wall + REMOVAL_MS
        elif self._is_used(address):
            raise Refused(Error.AGENT_USED)
        elif known is None and name and sum(bool(a.name) for a in account.agents) >= NAMED_AGENTS:
            raise Refused(Error.AGENT_COUNT)
        if known is not None:
            account.agents.remove(known)
            account.retired[known.address] = wall
        if address != NOBODY:
            account.agents.append(Agent(address, name, until))
        self._world.touched(account)
        return DEFAULT

    def transfer(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        """usdClassTransfer: move USDC between perpetuals and spot."""
        amount, to_perp = number(action, "amount"), field(action, "toPerp", bool)
        if account.is_unified:
            raise Refused(Error.UNIFIED)
        prices = self._world.prices
        if amount > (account.spot if to_perp else margining.withdrawable(account, prices)):
            raise Refused(Error.NO_FUNDS)
        moved = amount if to_perp else -amount
        account.cash += moved
        account.spot -= moved
        delta: Row = {"type": "accountClassTransfer", "usdc": str(amount), "toPerp": to_perp}
        row: Row = {"time": self._world.now, "hash": self._world.hash(), "delta": delta}
        self._world.tell(account.address, "update", row)
        self._world.touched(account)
        return DEFAULT

    def withdraw(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        """withdraw3: USDC leaves the venue; its fee is taken out of the amount."""
        amount = number(action, "amount")
        if not is_address(field(action, "destination", str)):
            raise Malformed("destination")
        if amount <= WITHDRAWAL_FEE or amount > self._free(account):
            raise Refused(Error.NO_FUNDS)
        fee, sent = WITHDRAWAL_FEE, amount - WITHDRAWAL_FEE
        delta: Row = {"type": "withdraw", "usdc": str(sent), "fee": str(fee)}
        self._world.moved(account, -amount, delta | {"nonce": field(action, "time", int)})
        return DEFAULT

    def send(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        """usdSend: USDC to another user of the venue."""
        amount, to = number(action, "amount"), field(action, "destination", str).lower()
        if not is_address(to) or to == account.address:
            raise Malformed("destination")
        if amount <= 0 or amount > self._free(account):
            raise Refused(Error.NO_FUNDS)
        delta: Row = {"type": "internalTransfer", "usdc": str(amount), "user": account.address}
        delta |= {"destination": to, "fee": "0.0"}
        receiver = self._world.admit(to)
        self._world.moved(account, -amount, delta)
        self._world.moved(receiver, amount, delta)
        return DEFAULT

    def set_abstraction(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        """Change how the account keeps its collateral; one pot takes in the spot balance."""
        wish = field(action, "abstraction", str)
        if wish not in MODES:
            raise Malformed("abstraction")
        if field(action, "user", str).lower() != account.address:
            raise Refused(Error.NOT_YOURS)
        if account.holdings or account.live:
            raise Refused(Error.ABSTRACTION_BUSY)
        account.abstraction = wish
        if account.is_unified:
            account.cash, account.spot = account.cash + account.spot, Decimal(0)
        self._world.touched(account)
        return DEFAULT

    def _free(self, account: AccountState) -> Decimal:
        """USDC that may leave the account now."""
        prices = self._world.prices
        if not account.is_unified:
            return margining.withdrawable(account, prices)
        total, hold = margining.unified(account, prices)
        return total - hold

    def _is_used(self, address: str) -> bool:
        """An address that is a user, an agent, or was one: nonces of old would be replayed."""
        accounts = self._world.accounts
        return address in accounts or any(
            address in account.retired or address in (agent.address for agent in account.agents)
            for account in accounts.values()
        )


def _name_and_end(action: Mapping[str, Any], wall: int) -> tuple[str, int]:
    """Name and end of an agent, out of `name valid_until <ms>`."""
    text = action.get("agentName", "")
    if not isinstance(text, str):
        raise Malformed("agentName")
    found = VALID_UNTIL.fullmatch(text)
    name, until = (found[1], int(found[2])) if found else (text, wall + LIFE_MS)
    if len(name) > NAME_LENGTH:
        raise Refused(Error.AGENT_NAME)
    if until <= wall:
        raise Refused(Error.AGENT_EXPIRED)
    if until > wall + LONGEST_MS:
        raise Refused(Error.AGENT_FAR)
    return name, until
