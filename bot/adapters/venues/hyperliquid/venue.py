"""Orders and account of Hyperliquid behind `bot.ports.Venue`.

Owns which request answers which wish of the road; knows no risk and no strategy.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import structlog

from bot.adapters.venues.hyperliquid import parse_exchange, wire
from bot.adapters.venues.hyperliquid.account_stream import AccountStream
from bot.adapters.venues.hyperliquid.actions import Actions
from bot.adapters.venues.hyperliquid.limiter import Priority
from bot.adapters.venues.hyperliquid.parse_account import AccountMode, Clearinghouse
from bot.adapters.venues.hyperliquid.queries import AddressBudget, Queries
from bot.adapters.venues.hyperliquid.shapes import UnreadableAnswer
from bot.adapters.venues.hyperliquid.stream import Stream
from bot.adapters.venues.hyperliquid.transport import Condition
from bot.adapters.venues.hyperliquid.universe import Universe
from bot.domain.errors import (
    AmbiguousOutcome,
    ConfigError,
    InvariantBroken,
    TransientError,
    VenueRejected,
)
from bot.domain.types import (
    ZERO,
    Account,
    Cleared,
    Cloid,
    Fill,
    Funding,
    Leg,
    LegAck,
    Ms,
    Symbol,
    Transfer,
    VenueEvent,
    VenueOrder,
)
from bot.ports import Clock

log = structlog.get_logger(__name__)

_UNHEALTHY_AFTER = 3  # failed requests in a row; each was already tried three times
_ONE_MOMENT_TRIES = 3
_MODE_EVERY = 10  # looks at the account; 5 minutes apart at 30 s each


class HyperliquidVenue:
    """Implements `bot.ports.Venue` for one account."""

    def __init__(
        self,
        queries: Queries,
        actions: Actions,
        stream: Stream,
        account_stream: AccountStream,
        universe: Universe,
        clock: Clock,
        condition: Condition,
        *,
        entry_life_s: float,
    ) -> None:
        self._queries = queries
        self._actions = actions
        self._stream = stream
        self._account_stream = account_stream
        self._universe = universe
        self._clock = clock
        self._condition = condition
        self._life_ms = int(entry_life_s * 1000)
        self._mode = AccountMode.CLASSIC
        self._looks = 0
        self._worth = ZERO  # equity at the last look
        account_stream.ask_with(self.fills_since, self.funding_since)

    @property
    def actions_sent(self) -> int:
        """Orders and cancels sent by this process: what it took off the address budget."""
        return self._actions.sent

    async def start(self) -> None:
        """Read the account mode. Raises ConfigError for one that we cannot account for."""
        try:
            self._mode = await self._queries.account_mode()
        except VenueRejected as error:  # a node that does not know the question
            log.warning("account_mode_unknown", error=str(error), assumed=AccountMode.CLASSIC)
        if self._mode is AccountMode.PORTFOLIO:
            raise ConfigError(
                "hyperliquid account is in portfolioMargin mode: its equity cannot be read as "
                "one number; switch it to unifiedAccount or default and start again"
            )
        state = await self._queries.clearinghouse()
        log.info("account_mode", mode=self._mode, positions=len(state.positions))

    async def account(self) -> Account:
        """See the port. Asked again when one of our fills arrived between the questions.

        Orders come first: a stop that fires after them is of a position that is gone by then,
        while a position shown before its orders would look as if nothing guarded it.
        """
        for _ in range(_ONE_MOMENT_TRIES):
            fills = self._account_stream.fills_delivered
            orders = await self._queries.open_orders()
            state = await self._queries.clearinghouse()
            await self._watch_mode(state)
            equity, free = await self._balance(state)
            if fills == self._account_stream.fills_delivered:
                break
        self._worth = equity
        return Account(
            equity=equity,
            free_margin=free,
            positions=state.positions,
            orders=orders,
            at=state.at if state.at is not None else self._clock.now(),
        )

    async def order_status(self, symbol: Symbol, cloid: Cloid) -> VenueOrder | None:
        """See the port. The venue forgets orders older than the account's last 2,000."""
        return await self._queries.order_status(cloid)

    async def fills_since(self, at: Ms) -> tuple[Fill, ...]:
        return await self._queries.fills_since(at)

    async def funding_since(self, at: Ms) -> tuple[Funding, ...]:
        return await self._queries.funding_since(at)

    async def transfers_since(self, at: Ms) -> tuple[Transfer, ...]:
        unified = self._mode is not AccountMode.CLASSIC
        return await self._queries.transfers_since(at, unified=unified)

    async def submit(self, cleared: Cleared) -> tuple[LegAck, ...]:
        """See the port. A refusal of the whole batch is raised, one of a leg is its LegAck.

        All carry `expiresAfter`, so that a delayed one cannot land late. What reduces counts
        it from the moment of signing, and is sent without where the venue's clock says that it
        came too late: a clock of ours that is behind must not keep a position open.
        """
        intent = cleared.intent
        action = wire.submission(intent, self._universe.instrument(intent.symbol))
        legs = wire.legs(intent)
        if intent.leg is Leg.ENTRY:
            response = await self._actions.perform(
                action,
                batch=len(legs),
                priority=Priority.ENTRY,
                expires_after=self._clock.wall() + self._life_ms,
            )
        else:
            response = await self._actions.perform_always(action, self._life_ms)
        try:
            return parse_exchange.leg_acks(response, legs, intent.quantity)
        except UnreadableAnswer as error:
            raise AmbiguousOutcome(f"{error}: order {intent.cloid}, ask before resending") from None

    async def cancel(self, symbol: Symbol, cloid: Cloid) -> bool:
        asset = self._universe.instrument(symbol).asset_id
        response = await self._actions.perform(wire.cancellation(asset, cloid))
        try:
            return parse_exchange.cancelled(response)
        except UnreadableAnswer as error:
            raise AmbiguousOutcome(f"{error}: cancel of {cloid}, ask before resending") from None

    async def set_leverage(self, symbol: Symbol, leverage: int) -> None:
        """See the port. Asks each time what stands there, and sends only what must change.

        Nothing is remembered: a person may have changed leverage or margin mode at the venue,
        and nobody tells (a coin in which nothing is open is in no account state). The question
        takes 20 of 1,200 weight a minute and a short round trip; an `updateLeverage` each time
        would take one action of the address's budget and the second that an action takes.
        Where the question has no answer it is sent: the venue's yes is as good.
        """
        instrument = self._universe.instrument(symbol)
        if await self._stands(instrument.venue_symbol) == leverage:
            return
        await self._actions.perform(
            wire.isolated_leverage(instrument.asset_id, leverage),
            priority=Priority.ENTRY,
            expires_after=self._clock.wall() + self._life_ms,
        )

    def events(self) -> AsyncIterator[VenueEvent]:
        return self._account_stream.events()

    def healthy(self) -> bool:
        return self._stream.connected and self._condition.failing < _UNHEALTHY_AFTER

    async def clock_skew_ms(self) -> int:
        sent = self._clock.now()
        venue = await self._queries.server_time()
        return venue - sent - (self._clock.now() - sent) // 2

    async def address_budget(self) -> AddressBudget:
        """The venue's own count of this address's actions."""
        return await self._queries.address_budget()

    async def _balance(self, state: Clearinghouse) -> tuple[Decimal, Decimal]:
        """(equity, free margin), wherever the account keeps its collateral."""
        if self._mode is AccountMode.CLASSIC:
            return state.equity, state.free_margin
        total, hold = await self._queries.spot_usdc()
        # An open loss already binds collateral; an open gain is not counted as free.
        free = total - hold + min(ZERO, state.unrealised)
        return total + state.unrealised, max(ZERO, free)

    async def _watch_mode(self, state: Clearinghouse) -> None:
        """Read the account's mode again now and then, and at once when its equity vanishes.

        Raises InvariantBroken for a mode whose equity cannot be read as one number.
        """
        self._looks += 1
        vanished = self._mode is AccountMode.CLASSIC and state.equity < self._worth / 2
        if not vanished and self._looks % _MODE_EVERY:
            return
        try:
            mode = await self._queries.account_mode()
        except VenueRejected as error:  # a node that does not know the question
            log.info("account_mode_unknown", error=str(error))
            return
        if mode is AccountMode.PORTFOLIO:
            raise InvariantBroken(
                "the account was switched to portfolioMargin: its equity cannot be read as one "
                "number; switch it back, then resume"
            )
        if mode is not self._mode:
            log.error("account_mode_changed", was=self._mode, now=mode)
            self._mode = mode

    async def _stands(self, coin: str) -> int | None:
        """The isolated leverage that stands at the venue; None: another mode, or not known."""
        try:
            leverage, isolated = await self._queries.leverage(coin)
        except (TransientError, VenueRejected) as error:
            log.info("leverage_unknown", coin=coin, error=str(error))
            return None
        return leverage if isolated else None
