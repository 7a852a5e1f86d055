"""POST /exchange: who signed, may they, and what they want.

Owns the actions' wire form and their answers; leaves orders to the engine. Source: facts 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from bot.domain.instrument import Instrument
from bot.domain.margin import initial_margin
from bot.simulator import margining
from bot.simulator.accounts import AccountState, Row, SimOrder
from bot.simulator.engine import Engine, Reply
from bot.simulator.rules import MAX_BATCH, OrderSpec
from bot.simulator.signing import Refused, recover
from bot.simulator.world import World

MALFORMED = "Failed to deserialize the JSON body into the target type"
TIFS = ("Gtc", "Ioc", "Alo", "FrontendMarket")
GROUPINGS = ("na", "normalTpsl", "positionTpsl")
CLOID = re.compile(r"0x[0-9a-fA-F]{32}")
PLAIN_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
DEFAULT: Row = {"type": "default"}
FREE_REQUESTS = 10_000  # plus one for each USDC traded (docs, "Rate limits")
CANCEL_EXTRA = 100_000
BUDGET_PAUSE_MS = 10_000
SCHEDULE_VOLUME = 1_000_000  # USD that must have been traded
SCHEDULE_AHEAD_MS = 5_000
MORE_MARGIN = "does not have sufficient margin available to decrease leverage. To decrease leverage"


class Malformed(Exception):
    """The body is no action the venue knows; answered with HTTP 422."""


class Exchange:
    """Carries out signed actions."""

    def __init__(self, world: World, engine: Engine) -> None:
        self._world = world
        self._engine = engine

    def handle(self, body: object, wall: int) -> Row:
        """Answer one request; `wall` is signing time in ms. Raises Malformed."""
        if not isinstance(body, dict):
            raise Malformed(MALFORMED)
        action = _field(body, "action", dict)
        kind = _field(action, "type", str)
        nonce = _field(body, "nonce", int)
        _field(body, "signature", dict)
        if kind not in _ACTIONS:
            raise Malformed(MALFORMED)
        if kind == "scheduleCancel" and action.get("time") is not None:
            _field(action, "time", int)
        try:
            signer = recover(body)
            account = self._admitted(signer, body)
            used = self._world.nonces.use(signer, nonce, wall)
            self._world.dirty.nonces[signer] = used
            expires = body.get("expiresAfter")
            if expires is not None and wall > _field(body, "expiresAfter", int):
                raise Refused("Action already expired")
            self._world.next_block()
            response = self._carry_out(account, kind, action)
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

    def _admitted(self, signer: str, body: Mapping[str, Any]) -> AccountState:
        vault = body.get("vaultAddress")
        account = self._world.accounts.get(signer)
        if account is None:
            raise Refused(f"User or API Wallet {signer} does not exist.")
        if vault is not None:
            raise Refused(f"Vault not registered: {vault}")
        return account

    def _carry_out(self, account: AccountState, kind: str, action: Mapping[str, Any]) -> Row:
        match kind:
            case "order":
                return self._order(account, action)
            case "cancel":
                return self._cancel(account, action, "a", "o", int)
            case "cancelByCloid":
                return self._cancel(account, action, "asset", "cloid", str)
            case "modify":
                return self._modify(account, action)
            case "batchModify":
                return self._batch_modify(account, action)
            case "updateLeverage":
                return self._leverage(account, action)
            case "updateIsolatedMargin":
                return self._isolated_margin(account, action)
            case "scheduleCancel":
                return self._schedule(account, action)
            case _:
                return DEFAULT

    # --- orders -----------------------------------------------------------------------

    def _order(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        wires = _field(action, "orders", list)
        grouping = action.get("grouping")
        if isinstance(grouping, dict):
            grouping = "na"
        if grouping not in GROUPINGS:
            raise Malformed(MALFORMED)
        if action.get("builder") is not None:
            raise Refused("Builder fee has not been approved")
        specs = [self._spec(wire, grouping == "positionTpsl") for wire in wires]
        self._spend(account, len(specs), cancels=False)
        statuses = self._engine.place(account, specs, grouping)
        return {"type": "order", "data": {"statuses": statuses}}

    def _cancel(
        self, account: AccountState, action: Mapping[str, Any], asset: str, key: str, form: type
    ) -> Row:
        entries = _field(action, "cancels", list)
        wanted = [(_field(e, asset, int), _field(e, key, form)) for e in map(_table, entries)]
        if len(wanted) > MAX_BATCH:
            raise Refused(f"Signed action over weight limit of {MAX_BATCH}.")
        self._spend(account, len(wanted), cancels=True)
        statuses: list[Reply] = []
        for number, name in wanted:
            order = self._engine.find(account, name)
            market = self._world.prices.asset(number)
            if order is not None and (market is None or order.coin != market.venue_symbol):
                order = None
            statuses.append(self._engine.cancel(order, number))
        return {"type": "cancel", "data": {"statuses": statuses}}

    def _modify(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        self._spend(account, 1, cancels=False)
        reply = self._engine.modify(account, *self._wish(account, action))
        if isinstance(reply, dict) and "error" in reply:
            raise Refused(reply["error"])
        return DEFAULT

    def _batch_modify(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        wires = [_table(wire) for wire in _field(action, "modifies", list)]
        self._spend(account, len(wires), cancels=False)
        wishes = [self._wish(account, wire) for wire in wires]
        statuses = [self._engine.modify(account, order, spec) for order, spec in wishes]
        return {"type": "order", "data": {"statuses": statuses}}

    def _wish(
        self, account: AccountState, wire: Mapping[str, Any]
    ) -> tuple[SimOrder | None, OrderSpec]:
        key = wire.get("oid")
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise Malformed(MALFORMED)
        order = self._engine.find(account, key)
        whole = order is not None and order.whole
        return order, self._spec(wire.get("order"), whole)

    def _spec(self, wire: object, whole: bool) -> OrderSpec:
        entry = _table(wire)
        kind = _field(entry, "t", dict)
        cloid = entry.get("c")
        if cloid is not None and not (isinstance(cloid, str) and CLOID.fullmatch(cloid)):
            raise Malformed(MALFORMED)
        market = self._market(_field(entry, "a", int))
        common = {
            "market": market,
            "is_buy": _field(entry, "b", bool),
            "price": _number(entry, "p"),
            "size": _number(entry, "s"),
            "reduce_only": _field(entry, "r", bool),
            "cloid": cloid.lower() if cloid else None,
        }
        if "limit" in kind:
            tif = _field(_table(kind["limit"]), "tif", str)
            if tif not in TIFS:
                raise Malformed(MALFORMED)
            return OrderSpec(**common, tif=tif)
        trigger = _table(kind.get("trigger"))
        side = _field(trigger, "tpsl", str)
        if side not in ("tp", "sl"):
            raise Malformed(MALFORMED)
        return OrderSpec(
            **common,
            tif=None,
            trigger=_number(trigger, "triggerPx"),
            is_market=_field(trigger, "isMarket", bool),
            is_stop=side == "sl",
            whole=whole,
        )

    # --- account ----------------------------------------------------------------------

    def _leverage(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        market = self._market(_field(action, "asset", int))
        is_cross, value = _field(action, "isCross", bool), _field(action, "leverage", int)
        coin, prices = market.venue_symbol, self._world.prices
        if not 1 <= value <= market.max_leverage:
            raise Refused("Invalid leverage value")
        if is_cross and market.only_isolated:
            raise Refused("Cross margin is not allowed for this asset.")
        held = account.holdings.get(coin)
        before = account.leverage.get(coin)
        if held is not None:
            if held.isolated == is_cross:
                raise Refused("Cannot switch leverage type with open position.")
            needed = initial_margin(held.size, prices.mark(coin), value)
            if held.isolated and needed > margining.margin_used(held, prices) > 0:
                self._add_margin(account, coin, needed)
            held.leverage = value
        account.leverage[coin] = (not is_cross, value)
        if is_cross and margining.free(account, prices) < 0:
            self._undo_leverage(account, coin, before)
            raise Refused(f"Cross position {MORE_MARGIN}, deposit more collateral.")
        self._world.touched(account)
        return DEFAULT

    def _add_margin(self, account: AccountState, coin: str, needed: Decimal) -> None:
        """Lower leverage of an isolated position takes the missing margin from the cash."""
        held, prices = account.holdings[coin], self._world.prices
        missing = needed - margining.margin_used(held, prices)
        if missing > margining.free(account, prices):
            raise Refused(f"Isolated position {MORE_MARGIN}, add margin to the position.")
        account.cash -= missing
        held.raw_usd += missing

    def _undo_leverage(
        self, account: AccountState, coin: str, before: tuple[bool, int] | None
    ) -> None:
        if before is None:
            del account.leverage[coin]
        else:
            account.leverage[coin] = before
        held = account.holdings.get(coin)
        if held is not None:
            held.leverage = margining.leverage_of(account, coin, self._world.prices)[1]

    def _isolated_margin(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        market = self._market(_field(action, "asset", int))
        amount = Decimal(_field(action, "ntli", int)).scaleb(-6)
        held, prices = account.holdings.get(market.venue_symbol), self._world.prices
        if amount == 0:
            raise Refused("Update to isolated margin cannot be zero.")
        if held is None:
            raise Refused("Cannot update margin for empty position.")
        if not held.isolated:
            raise Refused("Position does not use isolated margin.")
        if amount > margining.free(account, prices):
            raise Refused("Account does not have sufficient margin available for increase.")
        notional = abs(margining.value(held, prices))
        kept = max(notional / held.leverage, notional * margining.TRANSFER_SHARE)
        if amount < 0 and margining.margin_used(held, prices) + amount < kept:
            raise Refused("Position does not have sufficient margin for reduction.")
        account.cash -= amount
        held.raw_usd += amount
        self._world.touched(account)
        return DEFAULT

    def _schedule(self, account: AccountState, action: Mapping[str, Any]) -> Row:
        if account.volume < SCHEDULE_VOLUME:
            raise Refused(
                "Cannot set scheduled cancel time until enough volume traded. "
                f"Required: ${SCHEDULE_VOLUME}. Traded: ${account.volume:.2f}."
            )
        at = action.get("time")
        if at is not None and at < self._world.now + SCHEDULE_AHEAD_MS:
            raise Refused("Scheduled cancel time must be at least 5 seconds in the future.")
        account.cancel_at = at
        self._world.touched(account)
        return DEFAULT

    def _spend(self, account: AccountState, count: int, *, cancels: bool) -> None:
        """Count requests against the address's budget; over it one passes in 10 s."""
        cap = FREE_REQUESTS + int(account.volume)
        limit = min(cap + CANCEL_EXTRA, 2 * cap) if cancels else cap
        used = account.requests + count
        if used > limit and self._world.options.rate_limit:
            if self._world.now - account.last_pass < BUDGET_PAUSE_MS:
                raise Refused(
                    f"Too many cumulative requests sent ({used} > {limit}) for cumulative "
                    f"volume traded ${account.volume:.2f}. "
                    "Place taker orders to free up 1 request per USDC traded."
                )
            account.last_pass = self._world.now
        account.requests = used
        self._world.touched(account)

    def _market(self, number: int) -> Instrument:
        market = self._world.prices.asset(number)
        if market is None:
            raise Malformed(f"{MALFORMED}: unknown asset {number}")
        return market


_ACTIONS = (
    "order",
    "cancel",
    "cancelByCloid",
    "modify",
    "batchModify",
    "updateLeverage",
    "updateIsolatedMargin",
    "scheduleCancel",
    "noop",
)


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(MALFORMED)
    return value


def _field(table: Mapping[str, Any], key: str, form: type) -> Any:
    value = table.get(key)
    if not isinstance(value, form) or (form is int and isinstance(value, bool)):
        raise Malformed(f"{MALFORMED}: {key}")
    return value


def _number(table: Mapping[str, Any], key: str) -> Decimal:
    text = _field(table, key, str)
    if not PLAIN_NUMBER.fullmatch(text):
        raise Malformed(f"{MALFORMED}: {key}")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise Malformed(f"{MALFORMED}: {key}") from None
