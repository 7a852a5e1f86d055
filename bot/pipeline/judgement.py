"""From a thought to an offer: is asking worth it, what does the council say, does the gate agree.

Owns what a trace keeps of that and the life of what comes out of it; asks nobody itself
(`council`) and decides nothing (`decide`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bot.domain.approval import needs_person
from bot.domain.instrument import Instrument
from bot.domain.prompt import bytes_hash
from bot.domain.reasons import Reason, Stage
from bot.domain.sizing import size
from bot.domain.types import Decision, Intent, Ms, Question, Rejected, Side, Symbol
from bot.pipeline.account_view import account_view
from bot.pipeline.asking import Asking
from bot.pipeline.books import Books
from bot.pipeline.council import Council
from bot.pipeline.decide import Barred, Thought, decide, judge, unasked, weigh, wish_of
from bot.pipeline.entry_lane import Offer
from bot.pipeline.policies import Policies
from bot.pipeline.trace import Trail
from bot.ports import Clock


class Judgement:
    """The second half of thinking; remembers which signals were acted on within their life."""

    def __init__(
        self,
        *,
        clock: Clock,
        council: Council,
        books: Books,
        policies: Policies,
        instruments: Mapping[Symbol, Instrument],
        newest: Callable[[Symbol], Ms | None],
    ) -> None:
        """`newest`: close of the newest bar seen of a symbol."""
        self._clock = clock
        self._council = council
        self._books = books
        self._policies = policies
        self._instruments = instruments
        self._newest = newest
        self._acted: dict[tuple[Symbol, Side, str], Ms] = {}

    def question(self, thought: Thought, trail: Trail) -> Question | None:
        """What the council is asked; None where asking is not worth it, and the trace says why."""
        with trail.at(Stage.DELIBERATE):
            question = self._council.question(thought, trail.id)
            if self._council.at_once:
                return question
            if not self._worth(thought, question, trail):
                trail.end(Reason.NOT_WORTH_ASKING, Stage.SCORE)  # it never came to the council
                return None
            prompt = {
                "version": question.messages.version,
                "facts": question.brief.facts,
                "hash": bytes_hash(question.messages),
                "seats": self._council.identities,
            }
            trail.note("prompt", prompt)
            return question

    async def hear(self, thought: Thought, question: Question, trail: Trail) -> Offer | None:
        """Put the question before the council, then its word before the approval gate."""
        snapshot = thought.snapshot
        next_close = Ms(snapshot.as_of + snapshot.timeframe.ms)
        trail.stage = Stage.DELIBERATE
        heard = await self._council.deliberate(question, trail, next_close)
        with trail.at(Stage.DELIBERATE):
            self._name_seats(trail)
            said = {"opinions": heard.opinions, "abstentions": heard.abstentions}
            trail.note("answers", said)
            decision = decide(heard.opinions, heard.abstentions, self._policies)
            trail.note("decision", decision)
        return self._approve(thought, decision, trail)

    def _name_seats(self, trail: Trail) -> None:
        """Once more, now that they answered: a trial may have changed how one is asked."""
        shown = trail.body.get("prompt")
        if isinstance(shown, Mapping):
            trail.note("prompt", {**shown, "seats": self._council.identities})

    def _worth(self, thought: Thought, question: Question, trail: Trail) -> bool:
        snapshot = thought.snapshot
        view = account_view(self._books, self._clock.now())
        barred = Barred(snapshot.symbol in view.positions, view.state, view.breakers_open)
        instrument = self._instruments[snapshot.symbol]
        repeated, cost = self._repeated(thought), self._council.cost_of(question)
        able = self._council.able
        wish = wish_of(thought, unasked(thought))
        policy = self._policies.sizing
        preview = size(wish, instrument, snapshot.market, view.capital, policy, trail.id)
        checks = weigh(thought, preview, repeated, cost, barred, self._policies, able)
        asked = {
            "capital": view.capital,
            "repeated": repeated,
            "instrument": instrument,
            "asking_usd": cost,
            "barred": barred,
            "able": able,
        }
        trail.note("worth", {"asked": asked, "preview": preview, "checks": checks})
        return all(check.ok for check in checks)

    def _approve(self, thought: Thought, decision: Decision, trail: Trail) -> Offer | None:
        with trail.at(Stage.APPROVE):
            snapshot = thought.snapshot
            wish = wish_of(thought, decision)
            capital = account_view(self._books, self._clock.now()).capital
            instrument = self._instruments[snapshot.symbol]
            policy = self._policies.sizing
            preview = size(wish, instrument, snapshot.market, capital, policy, trail.id)
            repeated = self._repeated(thought)
            verdict = judge(thought, decision, preview, repeated, self._policies)
            asked = {"capital": capital, "repeated": repeated, "instrument": instrument}
            trail.note("approval", {"asked": asked, "preview": preview, "verdict": verdict})
            if isinstance(verdict, Rejected):
                trail.end(_why_rejected(decision), Stage.APPROVE)
                return None
            expires = self._expires(thought)
            self._acted[_key(thought)] = expires
            asking = None
            if needs_person(thought.score.tier, self._policies.approval):
                assert isinstance(preview, Intent)  # without a size the gate has said no
                asking = Asking(thought, decision, preview, instrument, verdict)
            score, mark = thought.score.total, snapshot.market.mark
            newest = None if self._council.at_once else self._newest(snapshot.symbol)
            return Offer(trail, snapshot, wish, score, mark, expires, asking, newest)

    def _expires(self, thought: Thought) -> Ms:
        """Until the next decision close; from its answer on, where models took their time.

        A signal before the council lives until that answer (spec 05); what runs away meanwhile
        is caught by its price, which the desk compares with the one that was decided on.
        """
        length = thought.snapshot.timeframe.ms
        close = thought.snapshot.as_of + length
        if self._council.at_once:
            return Ms(close)
        return Ms(max(close, self._clock.now() + length))

    def _repeated(self, thought: Thought) -> bool:
        return self._acted.get(_key(thought), 0) > thought.snapshot.as_of


def _key(thought: Thought) -> tuple[Symbol, Side, str]:
    signal = thought.proposal.signal
    return signal.symbol, signal.side, signal.strategy


def _why_rejected(decision: Decision) -> Reason:
    if not decision.quorum_met:
        return Reason.NO_QUORUM
    return Reason.HOLD if decision.action.value == "HOLD" else Reason.REJECTED
