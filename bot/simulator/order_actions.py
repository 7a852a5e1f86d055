"""Actions on orders: placing, cancelling, modifying, scheduling the cancel of all.

Owns their wire form and their answers; leaves the life of an order to the engine. Source:
facts 2.1 and 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.instrument import Instrument
from bot.simulator import rules
from bot.simulator.accounts import AccountState, Row
from bot.simulator.engine import Engine, Reply
from bot.simulator.errors import Error, Malformed, Refused
from bot.simulator.fields import field, name_of, number, table
from bot.simulator.rules import OrderSpec
from bot.simulator.world import World

TIFS = ("Gtc", "Ioc", "Alo", "FrontendMarket")
GROUPINGS = ("na", "normalTpsl", "positionTpsl")
CLOID = re.compile(r"0x[0-9a-fA-F]{32}")
DEFAULT: Row = {"type": "default"}
DAY_MS = 86_400_000
SCHEDULE_VOLUME = 1_000_000  # USD that must have been traded
SCHEDULE_AHEAD_MS = 5_000
SCHEDULES_A_DAY = 10  # that came to their time; from 00:00 UTC on


class OrderActions:
    """Carries out actions on orders."""

    def __init__(self, world: World, engine: Engine) -> None:
        self._world = world
        self._engine = engine

    def order(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        """A batch of new orders, over any coins: one status each."""
        wires = field(action, "orders", list)
        grouping = action.get("grouping")
        if isinstance(grouping, dict):
            grouping = "na"
        if grouping not in GROUPINGS:
            raise Malformed
        specs = [self._spec(wire, grouping == "positionTpsl") for wire in wires]
        if action.get("builder") is not None:
            raise Refused(Error.BUILDER)
        return _statuses("order", self._engine.place(account, specs, grouping))

    def cancel(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        """By oid."""
        return self._cancel(account, action, "a", "o", int)

    def cancel_by_cloid(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        """By client id."""
        return self._cancel(account, action, "asset", "cloid", str)

    def modify(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        """One order; a refusal is the answer to the whole action."""
        [reply] = self._modified(account, [action])
        if isinstance(reply, dict) and "error" in reply:
            raise Refused(str(reply["error"]))
        return DEFAULT

    def batch_modify(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        """Several orders, one status each."""
        wires = [table(wire) for wire in field(action, "modifies", list)]
        return _statuses("order", self._modified(account, wires))

    def schedule(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        """Cancel all orders at a time, or no longer; positions stay."""
        now = self._world.now
        if account.volume < SCHEDULE_VOLUME:
            raise Refused(Error.VOLUME, required=SCHEDULE_VOLUME, traded=f"{account.volume:.2f}")
        at = action.get("time")
        if at is not None and at < now + SCHEDULE_AHEAD_MS:
            raise Refused(Error.TOO_EARLY)
        if at is not None and account.cancels_fired == (now // DAY_MS, SCHEDULES_A_DAY):
            raise Refused(Error.TOO_OFTEN, limit=SCHEDULES_A_DAY)
        account.cancel_at = at
        self._world.touched(account)
        return DEFAULT

    # --- parts ------------------------------------------------------------------------

    def _cancel(
        self, account: AccountState, action: Mapping[str, Any], asset: str, key: str, form: type
    ) -> Row:
        entries = map(table, field(action, "cancels", list))
        wanted = [(field(entry, asset, int), field(entry, key, form)) for entry in entries]
        if len(wanted) > rules.MAX_BATCH:
            raise Refused(Error.WEIGHT, limit=rules.MAX_BATCH)
        statuses: list[Reply] = []
        for number_, name in wanted:
            order = self._engine.find(account, name)
            market = self._world.prices.asset(number_)
            if order is not None and (market is None or order.coin != market.venue_symbol):
                order = None
            statuses.append(self._engine.cancel(order, number_, fast=action.get("f") is True))
        return _statuses("cancel", statuses)

    def _modified(self, account: AccountState, wires: Sequence[Mapping[str, Any]]) -> list[Reply]:
        """Read and judge all before the first is touched; one after the other then."""
        wishes = [(name_of(wire, "oid"), self._modification(account, wire)) for wire in wires]
        rules.judge_batch(self._world.prices, [spec for _, spec in wishes], "na")
        return [self._engine.modify(account, key, spec) for key, spec in wishes]

    def _modification(self, account: AccountState, wire: Mapping[str, Any]) -> OrderSpec:
        order = self._engine.find(account, name_of(wire, "oid"))
        return self._spec(wire.get("order"), order is not None and order.whole)

    def _spec(self, wire: object, whole: bool) -> OrderSpec:
        entry = table(wire)
        kind = field(entry, "t", dict)
        cloid = entry.get("c")
        if cloid is not None and not (isinstance(cloid, str) and CLOID.fullmatch(cloid)):
            raise Malformed("c")
        common = {
            "market": market_of(self._world, field(entry, "a", int)),
            "is_buy": field(entry, "b", bool),
            "price": number(entry, "p"),
            "size": number(entry, "s"),
            "reduce_only": field(entry, "r", bool),
            "cloid": cloid.lower() if cloid else None,
        }
        if "limit" in kind:
            tif = field(table(kind["limit"]), "tif", str)
            if tif not in TIFS:
                raise Malformed("tif")
            return OrderSpec(**common, tif=tif)
        trigger = table(kind.get("trigger"))
        side = field(trigger, "tpsl", str)
        if side not in ("tp", "sl"):
            raise Malformed("tpsl")
        return OrderSpec(
            **common,
            tif=None,
            trigger=number(trigger, "triggerPx"),
            is_market=field(trigger, "isMarket", bool),
            is_stop=side == "sl",
            whole=whole,
        )


def market_of(world: World, asset: int) -> Instrument:
    """The market of an asset id. Raises Malformed."""
    market = world.prices.asset(asset)
    if market is None:
        raise Malformed(f"unknown asset {asset}")
    return market


def _statuses(kind: str, statuses: list[Reply]) -> Row:
    return {"type": kind, "data": {"statuses": statuses}}
