"""The council: every seat asked at once, under one deadline; who is silent abstains with a kind.

Owns the asking, the answers that come late and the standing in of the rules analyst; counts no
vote (`bot.domain.council` does) and knows no endpoint.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import structlog

from bot.domain.brief import brief_of
from bot.domain.council import RULES_SEAT, analyst
from bot.domain.evidence import hear
from bot.domain.model_answer import AnswerError
from bot.domain.prompt import Template, render
from bot.domain.types import (
    ZERO,
    Abstention,
    AbstentionKind,
    Attempt,
    Ms,
    Opinion,
    Question,
    TraceId,
)
from bot.pipeline.chamber import Chamber
from bot.pipeline.decide import Thought
from bot.pipeline.facts import Facts
from bot.pipeline.kept_answers import KeptAnswers
from bot.pipeline.trace import TraceBook, Trail
from bot.ports import Clock, Seat

log = structlog.get_logger(__name__)

RAW_IN_TRACE = 1_000  # characters of what came instead of an answer
MODELS = "models"  # in a trace's durations: machine ms in which the models were waited for
Voice = Opinion | Abstention


@dataclass(frozen=True, slots=True)
class CouncilOptions:
    """Machine seconds, and how many late answers are waited for at once (the issue, 3)."""

    deadline_s: float = 60.0
    late_s: float = 30.0
    late_at_once: int = 8
    past_close_ms: int = 300_000  # market time beyond the next close in which a bar is no old news


@dataclass(frozen=True, slots=True)
class Heard:
    """What the seats said, in the order of the seats; the stand-in last."""

    opinions: tuple[Opinion, ...]
    abstentions: tuple[Abstention, ...]


@dataclass(slots=True, eq=False)
class _Asked:
    """One question to one seat, and what asking it has come to so far."""

    seat: Seat
    question: Question
    trail: Trail
    since: float  # machine time
    given_up: bool = False
    attempts: dict[int, Attempt] = field(default_factory=dict)

    def tell(self, attempt: Attempt) -> None:
        """Hear of an attempt, at its reserve and again when it ended."""
        self.attempts[attempt.number] = _lean(attempt, RAW_IN_TRACE)

    def silent(self, detail: str) -> Abstention:
        """No answer, with every attempt as it stands; an open one at its reserve."""
        kind = AbstentionKind.TIMEOUT.value
        return Abstention(self.seat.name, kind, detail, tuple(self.attempts.values()))


Asked = Mapping["asyncio.Task[Voice]", _Asked]


class Council:
    """Asks; `at_once` where only built-in seats sit, which answer without a wait."""

    def __init__(
        self,
        *,
        clock: Clock,
        chamber: Chamber,
        seats: Sequence[Seat],
        template: Template | None,
        kept: KeptAnswers,
        traces: TraceBook,
        facts: Facts,
        options: CouncilOptions,
    ) -> None:
        self._clock = clock
        self.chamber = chamber
        self._seats = tuple(seats)
        self._template = template
        self._traces = traces
        self._facts = facts
        self._options = options
        self._late: OrderedDict[asyncio.Task[Voice], _Asked] = OrderedDict()
        self.kept = kept
        self.counts: Counter[str] = Counter()

    @property
    def at_once(self) -> bool:
        """Whether no model sits here (there is no prompt): nothing is waited for or priced."""
        return self._template is None

    def question(self, thought: Thought, trace_id: TraceId) -> Question:
        """What the seats are asked about a thought."""
        proposal, score, flags = thought.proposal, thought.score, thought.flags
        if self._template is None:
            return Question(proposal.signal, score, flags, trace_id=trace_id)
        brief = brief_of(proposal, score, flags, thought.snapshot)
        messages = render(self._template, brief)
        return Question(proposal.signal, score, flags, brief, messages, trace_id)

    @property
    def template(self) -> Template | None:
        """The prompt; None where no model sits here."""
        return self._template

    @property
    def identities(self) -> Mapping[str, str]:
        """What each seat is now: endpoint, model, parameters, way of asking, as one hash."""
        return {seat.name: seat.identity for seat in self._seats}

    @property
    def able(self) -> int:
        """How many seats may answer now: the others have no way of asking, or an open breaker."""
        return sum(seat.able for seat in self._seats)

    def cost_of(self, question: Question) -> Decimal:
        """What asking everybody costs at most, in USD."""
        return sum((seat.cost_of(question) for seat in self._seats), ZERO)

    async def deliberate(self, question: Question, trail: Trail, next_close: Ms) -> Heard:
        """Hear every seat within the deadline; silence is an abstention, never a vote.

        Cancelled, it leaves its questions to the late answers: they are asked and paid for.
        """
        started = self._clock.monotonic()
        tasks = self._ask_all(question, trail, next_close)
        try:
            await self._wait(tasks)
        finally:
            for task, asked in tasks.items():
                if not task.done():
                    self._expect(task, asked)
            if not self.at_once:
                trail.spent(MODELS, (self._clock.monotonic() - started) * 1000)
        voices = [self._voice_of(task, asked) for task, asked in tasks.items()]
        self._keep(question, voices, next_close)
        heard = self._with_stand_in(voices, question, next_close)
        self._count(voices)
        return heard

    def state(self) -> Mapping[str, object]:
        """What the status shows."""
        return {
            "seats": [seat.name for seat in self._seats],
            "prompt": self._template.version if self._template is not None else None,
            "asked": self.counts["asked"],
            "opinions": self.counts["opinions"],
            "abstentions": {
                kind.value: self.counts[f"abstained_{kind.value}"]
                for kind in AbstentionKind
                if self.counts[f"abstained_{kind.value}"]
            },
            "stood_in": self.counts["stood_in"],
            "late": self.counts["late"],
            "given_up": self.counts["given_up"],
            "late_waiting": len(self._late),
            "cache_hits": self.kept.hits,
            "cache_misses": self.kept.misses,
            "cache_hit_rate": self.kept.hit_rate,
        }

    # --- asking --------------------------------------------------------------------------

    def _ask_all(self, question: Question, trail: Trail, next_close: Ms) -> Asked:
        self.counts["asked"] += 1
        now = self._clock.monotonic()
        everyone = [_Asked(seat, question, trail, now) for seat in self._seats]
        return {self.chamber.spawn(self._ask(asked, next_close)): asked for asked in everyone}

    async def _wait(self, tasks: Asked) -> None:
        if tasks:
            await self.chamber.together(tasks.keys(), self._options.deadline_s)

    async def _ask(self, asked: _Asked, next_close: Ms) -> Voice:
        seat, question = asked.seat, asked.question
        try:
            text = await self.kept.find(seat, question)
            if text is not None:
                return hear(seat.name, text, question.brief, from_cache=True)
            voice = await seat.ask(question, asked.tell)
        except AnswerError as error:
            # Only a text that was an answer is kept; the rules of reading it have changed since.
            return Abstention(seat.name, error.kind.value, error.detail)
        except Exception as error:
            # A border by design: one voice that fails is an abstention, never the cycle's end.
            log.exception("seat_failed", seat=seat.name, trace_id=question.trace_id)
            return Abstention(seat.name, AbstentionKind.ERROR.value, type(error).__name__)
        voice = _lean_voice(voice)
        if isinstance(voice, Opinion) and self._is_old(next_close):
            kind, detail = AbstentionKind.STALE.value, "the bar that it judged is too old by now"
            return Abstention(seat.name, kind, detail, voice.attempts, voice.text)
        return voice

    def _is_old(self, next_close: Ms) -> bool:
        """Whether the bar asked about has passed the age at which data stops entries."""
        return self._clock.now() > next_close + self._options.past_close_ms

    def _keep(self, question: Question, voices: Sequence[Voice], next_close: Ms) -> None:
        """Keep what counted, and only that: a late answer must not vote after a restart."""
        for seat, voice in zip(self._seats, voices, strict=True):
            if isinstance(voice, Opinion) and not voice.from_cache:
                self.kept.keep(seat, question, voice.text, next_close)

    def _voice_of(self, task: asyncio.Task[Voice], asked: _Asked) -> Voice:
        if task.done() and not task.cancelled():
            return task.result()
        return asked.silent(f"no answer within {self._options.deadline_s:g} s")

    def _with_stand_in(self, voices: Sequence[Voice], question: Question, next_close: Ms) -> Heard:
        """Where models sit and none was heard, the rules analyst answers, marked by its name.

        Not on a bar that is too old: to what made a model's answer stale nobody answers.
        """
        opinions = tuple(voice for voice in voices if isinstance(voice, Opinion))
        abstentions = tuple(voice for voice in voices if isinstance(voice, Abstention))
        models = all(seat.name != RULES_SEAT for seat in self._seats)
        if not opinions and models and not self._is_old(next_close):
            self.counts["stood_in"] += 1
            opinions = (analyst(question.signal, question.score, question.flags),)
        return Heard(opinions, abstentions)

    def _count(self, voices: Sequence[Voice]) -> None:
        for voice in voices:
            if isinstance(voice, Opinion):
                self.counts["opinions"] += 1
            else:
                self.counts[f"abstained_{voice.kind}"] += 1

    # --- late answers --------------------------------------------------------------------

    def _expect(self, task: asyncio.Task[Voice], asked: _Asked) -> None:
        """Wait for an answer beyond the deadline, for the record; the oldest makes room."""
        if self.at_once:  # built in: it costs nothing and says nothing new later
            task.cancel()
            return
        self._late[task] = asked
        task.add_done_callback(self._came_late)
        asyncio.get_running_loop().call_later(self._options.late_s, self._give_up, task)
        hoped = [one for one, late in self._late.items() if not late.given_up]
        for oldest in hoped[: max(0, len(hoped) - self._options.late_at_once)]:
            self._give_up(oldest)

    def _give_up(self, task: asyncio.Task[Voice]) -> None:
        late = self._late.get(task)
        if late is not None and not late.given_up:  # cancelled once: it still books what stands
            late.given_up = True
            task.cancel()

    def _came_late(self, task: asyncio.Task[Voice]) -> None:
        """Write into its trace what came of a question after all; it counts for nothing."""
        late = self._late.pop(task)
        after_s = round(self._clock.monotonic() - late.since, 3)
        if task.cancelled():
            self.counts["given_up"] += 1
            voice: Voice = late.silent(f"given up after {after_s:.0f} s")
        else:
            self.counts["late"] += 1
            voice = task.result()
        trail = late.trail
        earlier = trail.body.get("late")
        rows = earlier if isinstance(earlier, tuple) else ()
        trail.note("late", (*rows, {"after_s": after_s, "voice": voice}))
        log.info("late_answer", trace_id=trail.id, seat=late.seat.name, after_s=after_s)
        if trail.result is not None:  # closed already: its row is written again
            self._traces.close(trail)


def _lean_voice(voice: Voice) -> Voice:
    """The voice as a trace keeps it: the ledger of costs has the whole of what came."""
    most = 0 if isinstance(voice, Opinion) else RAW_IN_TRACE  # an opinion has its text already
    return replace(voice, attempts=tuple(_lean(attempt, most) for attempt in voice.attempts))


def _lean(attempt: Attempt, most: int) -> Attempt:
    return replace(attempt, raw=attempt.raw[:most])
