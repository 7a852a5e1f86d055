"""What a person may do to the running daemon: halt, resume, close, approve, reject.

Owns the audit of each call and the words of its answer; decides nothing that the pipeline owns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from bot.app.coins import meant, near
from bot.app.parts import Parts
from bot.domain.answer import Answer, Denial, Denied
from bot.domain.types import ExitReason, Symbol, TradingState
from bot.pipeline.blocks import BlockKind
from bot.pipeline.closing import Closed
from bot.web.view import Declined

log = structlog.get_logger(__name__)

WRITTEN_S = 2.0  # machine time; a database that is away has the row in the spool long before


class DaemonControls:
    """Implements `bot.web.Controls`; each call is written to the log, with who made it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # --- the trading state -----------------------------------------------------------------

    async def halt(self, reason: str, by: str) -> Mapping[str, object]:
        log.warning("control_halt", reason=reason, by=by)
        safety = self._parts.books.safety
        safety.set_state(TradingState.HALTED, reason)
        kept = await self._written()
        return {
            "trading_state": safety.state,
            "trading_state_why": safety.why,
            "survives_restart": kept,
        }

    async def resume(self, by: str) -> Mapping[str, object]:
        safety = self._parts.books.safety
        by_hand = [breaker.code for breaker in safety.open_now() if breaker.by_hand]
        log.warning("control_resume", breakers=[code.value for code in by_hand], by=by)
        for code in by_hand:
            safety.reset(code)
        safety.set_state(TradingState.ACTIVE, "")
        withdrawn = await self._parts.closing.withdraw()
        kept = await self._written()
        stay = [{"code": breaker.code, "until_at": breaker.until} for breaker in safety.open_now()]
        return {
            "trading_state": safety.state,
            "breakers_reset": by_hand,
            "breakers_open": stay,
            "blocked": dict(safety.blocked),
            "closing_withdrawn": withdrawn,
            "survives_restart": kept,
        }

    async def _written(self) -> bool:
        """Whether the state rows are on the disk: in the database, or in the spool."""
        try:
            async with asyncio.timeout(WRITTEN_S):
                await self._parts.rows.drained()
        except TimeoutError:
            log.error("control_not_written", action="the state holds; a restart may forget it")
            return False
        return True

    # --- closing -----------------------------------------------------------------------------

    async def close(self, symbol: str, by: str) -> Mapping[str, object] | Declined:
        named = self._named(symbol)
        log.warning("control_close", symbol=symbol[:40], known=isinstance(named, str), by=by)
        if isinstance(named, Declined):
            return named
        if named in self._foreign():
            return Declined(
                409, "not_ours", f"the {named} position is not Keel's: it is never touched"
            )
        with self._parts.world.clock.busy():
            found = await self._parts.closing.close((named,), ExitReason.MANUAL, by=by)
        return await self._told(found)

    async def close_all(self, by: str) -> Mapping[str, object]:
        closing = self._parts.closing
        log.warning("control_close_all", symbols=list(closing.concerned()), by=by)
        with self._parts.world.clock.busy():
            found = await closing.close_all(ExitReason.FLATTEN, by)
        told = await self._told(found)
        return {**told, "ok": told["ok"] and not told["going_on"]}

    async def _told(self, found: Sequence[Closed]) -> Mapping[str, object]:
        """`ok`: nothing of what was asked is open any more; else it goes on, told by symbol.

        Before books and venue were `compared` in this life that cannot be said.
        """
        safety, compared = self._parts.books.safety, self._parts.closing.known
        going_on = [wish.symbol for wish in self._parts.closing.standing()]
        return {
            "ok": compared and all(one.state.flat for one in found),
            "compared": compared,
            "results": list(found),
            "going_on": going_on,
            "survives_restart": await self._written() if going_on else True,
            "not_ours": list(self._foreign()),
            "entries_allowed": safety.state is TradingState.ACTIVE,
        }

    def _foreign(self) -> tuple[Symbol, ...]:
        """Symbols in which the venue holds something and Keel nothing, as last compared.

        Not read off the venue's last account: what Keel closed since stands in it still.
        """
        books = self._parts.books
        return tuple(
            sorted(
                symbol
                for symbol, blocks in books.safety.blocks.all().items()
                if any(block.kind is BlockKind.FOREIGN_POSITION for block in blocks)
                and symbol not in books.symbols()
            )
        )

    def _named(self, symbol: str) -> Symbol | Declined:
        """The coin that is meant, whatever the case of its letters."""
        known = sorted({*self._parts.instruments, *self._parts.books.symbols()})
        found = meant(symbol, known)
        if found is not None:
            return Symbol(found)
        if not self._parts.instruments:
            return Declined(503, "not_ready", "the venue's coins are not known yet; try again")
        hint = near(symbol, known)
        return Declined(404, "unknown_symbol", f"the venue has no such coin{hint}")

    # --- approval ----------------------------------------------------------------------------

    async def approve(self, ident: str, by: str) -> Mapping[str, object] | Declined:
        return self._answered(self._parts.approvals.approve(ident, by))

    async def reject(self, ident: str, by: str) -> Mapping[str, object] | Declined:
        return self._answered(self._parts.approvals.reject(ident, by))

    def _answered(self, answer: Answer | Denied) -> Mapping[str, object] | Declined:
        if isinstance(answer, Denied):
            status = 404 if answer.code is Denial.UNKNOWN else 409
            return Declined(status, answer.code.value, answer.message)
        safety = self._parts.books.safety
        return {
            "ok": True,
            "id": answer.id,
            "said": answer.said,
            "by": answer.by,
            "answered_at": answer.answered_at,
            "trading_state": safety.state,
            "breakers_open": list(safety.open_codes()),
        }
