"""Whether a model is known to obey the way in which it is asked: when to try again, and what.

Owns the doubt, what is tried and who waits for it; the trial itself is `probe`'s, and running it
the app's. A vote that rests on an unproven way of asking is not given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from bot.adapters.seats.model.options import AnswerFormat
from bot.domain.types import AbstentionKind

log = structlog.get_logger(__name__)

USELESS = (AbstentionKind.SCHEMA, AbstentionKind.NOT_JSON)  # ends that a schema should prevent
USELESS_IN_A_ROW = 3  # questions; each was paid for
SILENT_S = 3600.0  # after which one that obeyed nothing is tried again, if it is asked


class Standing:
    """What is known of one endpoint. As built it is trusted; once watched it is tried and doubted.

    `wanted` is set from a doubt to the end of its trial, which the watcher runs.
    """

    def __init__(
        self, seat: str, formats: Sequence[AnswerFormat], monotonic: Callable[[], float]
    ) -> None:
        self._seat = seat
        self._declared = tuple(formats)
        self._monotonic = monotonic
        self.format: AnswerFormat | None = self._declared[0]  # None: no way is obeyed
        self.ways = self._declared  # what a trial tries, best first
        self.reached = True  # by the last trial; False: nothing is known
        self.trials = 0
        self.watched = False
        self.wanted = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._useless = 0  # questions in a row
        self._passed_in_vain = False  # the trial was passed, and no answer has been of use since
        self._silent_at = 0.0

    @property
    def proven(self) -> bool:
        """Whether the way of asking has been seen to be obeyed, or is trusted as built."""
        return self.reached and not self.wanted.is_set()

    @property
    def askable(self) -> bool:
        """Whether there is a way to ask it, or a question would have it tried again."""
        return self.format is not None or self._lasted

    @property
    def _lasted(self) -> bool:
        silent_s = self._monotonic() - self._silent_at
        return self.format is None and self.trials > 0 and silent_s >= SILENT_S

    def watch(self) -> None:
        """From now on somebody runs each trial that is wanted; the first one is, at once."""
        self.watched = True
        self.doubt("it was not tried yet")

    def doubt(self, why: str) -> None:
        """Ask the watcher, if there is one, for a trial; until it has ended nobody is asked."""
        if not self.watched:
            return
        if not self.wanted.is_set():
            log.info("model_trial_wanted", seat=self._seat, why=why)
        self.wanted.set()
        self._settled.clear()

    def tried(self, found: AnswerFormat | None, reached: bool) -> None:
        """The trial ended: this way was obeyed, none was, or nobody was reached."""
        self.trials += 1
        self.reached = reached
        if reached:
            self._passed_in_vain &= found is self.format
            self.format = found
            self._silent_at = self._monotonic()
        self._useless = 0
        self.wanted.clear()
        self._settled.set()

    async def settled(self, limit_s: float) -> None:
        """Wait for the trial that is under way, if any. Raises TimeoutError after `limit_s`."""
        if not self._settled.is_set():
            async with asyncio.timeout(limit_s):
                await self._settled.wait()

    def wake(self) -> None:
        """Doubt a silence that has lasted: the endpoint may have been mended."""
        if self._lasted:
            self.ways = self._declared
            self._passed_in_vain = False
            self.doubt("it has been silent for an hour")

    def useful(self) -> None:
        """A question got an answer of use."""
        self._useless = 0
        self._passed_in_vain = False

    def ended(self, kind: AbstentionKind, trials: int) -> None:
        """A question got none; `trials`: how many there had been when it was sent.

        After some without use in a row a trial says whether the schema is ignored. One that
        passes the trial and is of no use again is asked in its next way.
        """
        stale = trials != self.trials or self.wanted.is_set()
        if not self.watched or kind not in USELESS or self.format is None or stale:
            return
        self._useless += 1
        if self.reached and self._useless < USELESS_IN_A_ROW:
            return
        if self._passed_in_vain:
            self.ways = tuple(way for way in self.ways if way is not self.format)
        self._passed_in_vain = self.reached
        self.doubt(f"{self._useless} in a row were of no use, the last one {kind.value}")
