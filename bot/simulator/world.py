"""The state of a simulated venue and its memory on disk.

Owns accounts, counters, market time and what changed since the last write; knows no rule
of trading and no message.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from secrets import token_hex
from typing import Any

from bot.domain.types import Ms, Timeframe
from bot.simulator.accounts import AccountState, Row, SimOrder
from bot.simulator.bars import PriceSource
from bot.simulator.candles import CandleFiles
from bot.simulator.conditions import Conditions
from bot.simulator.generator import Generator
from bot.simulator.ledger import Dirty, Ledger
from bot.simulator.options import SimulatorOptions
from bot.simulator.prices import HOUR_MS, Prices
from bot.simulator.signing import Nonces

FIRST_OID = 77_000_000_000  # of the size the venue gives


@dataclass(frozen=True, slots=True)
class Event:
    """Something a user's stream will tell: kind is order, fill, funding, update or user."""

    address: str
    kind: str
    row: Row


class World:
    """Opens a ledger, goes on where it ended, and writes each moment back.

    Raises ConfigError for candle files or a ledger that cannot be used.
    """

    def __init__(
        self, options: SimulatorOptions, wall_now: Ms, source: PriceSource | None = None
    ) -> None:
        """`wall_now` is when a new world of invented prices begins; `source` replaces both."""
        self.options = options
        files = CandleFiles(options.candles, options.warmup_bars) if options.candles else None
        self.interval: Timeframe | None = files.interval if files else None
        self.ledger = Ledger(options.ledger)
        state = self.ledger.state() or {}
        self.epoch = Ms(int(state.get("epoch", wall_now)))
        given = source or files
        self.source: PriceSource = given or Generator(options.seed, options.tick_s, self.epoch)
        self.ledger.check(f"{self.source.identity} seed={options.seed}")
        if state.get("ended"):
            self.ledger.reset()
            state = {}
        self.began_anew = not state  # nothing of an earlier world is known
        # Which life of this world it is: books of another one do not belong to it.
        self.incarnation = str(state.get("incarnation") or token_hex(8))
        if given is not None:
            self.epoch = Ms(int(state.get("epoch", given.start_at)))
        self.now = Ms(int(state.get("now", self.source.start_at)))
        self.index = int(state.get("tick", self.source.first_tick - 1))
        self.ended = False
        self.oid = int(state.get("oid", FIRST_OID))
        self.tid = int(state.get("tid", 0))
        self.block = int(state.get("block", 0))
        first_hour = self.now - self.now % HOUR_MS + HOUR_MS
        self.next_funding = int(state.get("next_funding", first_hour))
        self.conditions = Conditions()
        self.prices = Prices(self.source, options, self.index, self.conditions)
        self.accounts: dict[str, AccountState] = self.ledger.accounts()
        self.live: dict[str, dict[int, SimOrder]] = {coin: {} for coin in self.prices.coins}
        for account in self.accounts.values():
            for order in account.live.values():
                self.live[order.coin][order.oid] = order
        self.nonces = Nonces(self.ledger.nonces())
        self.dirty = Dirty()
        self.events: list[Event] = []
        for address in options.accounts:
            self.admit(address)
        self.save()

    def admit(self, address: str) -> AccountState:
        """The account of an address; a new one begins with the balance of the options."""
        address = address.lower()
        account = self.accounts.get(address)
        if account is None:
            account = self.accounts[address] = AccountState(address, self.options.balance)
            account.abstraction = self.options.abstraction
            deposit = {"type": "deposit", "usdc": str(self.options.balance)}
            self.tell(address, "update", {"time": self.now, "hash": self.hash(), "delta": deposit})
            self.touched(account)
        return account

    def moved(self, account: AccountState, usd: Decimal, delta: Row) -> None:
        """Collateral came in or (negative) went out; the row is in the account's ledger."""
        account.cash += usd
        row: Row = {"time": self.now, "hash": self.hash(), "delta": delta}
        self.tell(account.address, "update", row)
        self.touched(account)

    def deposit(self, address: str, usd: Decimal) -> None:
        """Money that arrives from outside; a new address is admitted first."""
        self.next_block()
        self.moved(self.admit(address), usd, {"type": "deposit", "usdc": str(usd)})

    def move_to(self, now: int) -> None:
        """Market time goes on, never back."""
        self.now = Ms(max(self.now, now))

    def master(self, address: str) -> AccountState | None:
        """The account for which this address trades as an agent."""
        for account in self.accounts.values():
            if any(agent.address == address for agent in account.agents):
                return account
        return None

    def save(self) -> None:
        """Write what changed; returns when a killed process would find it.

        Raises TransientError when it cannot be written: it is changed still.
        """
        state: dict[str, Any] = {
            "incarnation": self.incarnation,
            "epoch": self.epoch,
            "now": self.now,
            "tick": self.index,
            "ended": self.ended,
            "oid": self.oid,
            "tid": self.tid,
            "block": self.block,
            "next_funding": self.next_funding,
        }
        self.ledger.write(state, self.dirty)
        self.dirty = Dirty()

    def take_events(self) -> list[Event]:
        """What happened since the last call, in order."""
        events, self.events = self.events, []
        return events

    # --- records ----------------------------------------------------------------------

    def tell(self, address: str, kind: str, row: Row) -> None:
        """Tell the user's stream; fills, funding and ledger rows are kept as well."""
        self.events.append(Event(address, kind, row))
        if kind in ("fill", "funding", "update"):
            account = self.accounts[address]
            rows = {"fill": account.fills, "funding": account.fundings, "update": account.updates}
            rows[kind].append(row)
            self.dirty.events.append((address, kind, row))

    def touched(self, account: AccountState) -> None:
        self.dirty.accounts[account.address] = account

    def changed(self, order: SimOrder) -> None:
        """An order is new or has changed: keep the look-ups and the ledger in step."""
        self.dirty.orders[order.oid] = order
        account = self.accounts[order.owner]
        if order.is_open:
            account.live[order.oid] = order
            self.live[order.coin][order.oid] = order
        else:
            account.live.pop(order.oid, None)
            self.live[order.coin].pop(order.oid, None)

    def next_oid(self) -> int:
        self.oid += 1
        return self.oid

    def next_tid(self) -> int:
        """A trade number: unique, and as far apart as the venue's."""
        self.tid += 1
        return self.tid * 7_919 + self.options.seed % 7_919 + 100_000_000_000

    def next_block(self) -> None:
        """A new hash from here on: one for each action and each tick that trades."""
        self.block += 1

    def hash(self) -> str:
        text = f"{self.options.seed}|{self.block}"
        return "0x" + sha256(text.encode()).hexdigest()
