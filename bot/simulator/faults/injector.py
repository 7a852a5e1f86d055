"""Which fault strikes what, and when: counts, chances and windows of one plan.

Owns the choice; the striking itself is in `gate` (requests) and `events` (market and
account). Everything follows from the plan, its seed and the order of what happens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from bot.domain.errors import ConfigError
from bot.domain.matching import Book, Level
from bot.domain.types import ZERO
from bot.simulator.accounts import AccountState
from bot.simulator.duties import Duties
from bot.simulator.engine import Engine
from bot.simulator.faults.events import Events
from bot.simulator.faults.kinds import OF_A_WHILE, OF_FRAMES, OF_ORDERS, OF_REQUESTS, FaultKind
from bot.simulator.faults.names import names_of
from bot.simulator.faults.plan import Fault, FaultPlan
from bot.simulator.rules import OrderSpec
from bot.simulator.stream import OF_BOTH, OF_USER, Key
from bot.simulator.world import World


@dataclass(slots=True)
class Armed:
    """A fault at work: how often it was met and how often it struck."""

    fault: Fault
    chance: Random
    from_ms: int
    until_ms: int | None
    met: int = 0
    struck: int = 0
    on: bool = field(default=False)  # a fault of a while: it lasts now

    def lasts(self, now: int) -> bool:
        return self.from_ms <= now and (self.until_ms is None or now < self.until_ms)

    def strikes(self) -> bool:
        """Whether it strikes what it has just met."""
        fault = self.fault
        self.met += 1
        times = fault.count("times")
        if self.met <= fault.count("after") or (times and self.struck >= times):
            return False
        if fault.real("rate") < 1 and self.chance.random() >= fault.real("rate"):
            return False
        self.struck += 1
        return True


class Faults:
    """The plan at work in one world; `active` is False when there is nothing to do."""

    def __init__(self, world: World, engine: Engine, duties: Duties) -> None:
        self._world = world
        self._engine = engine
        self._events = Events(world, engine, duties)
        self._armed: list[Armed] = []
        self._held: list[tuple[Key, str]] = []
        self.active = False
        self.cut = False  # every socket is to be closed

    def install(self, plan: FaultPlan) -> None:
        """Begin with a plan, from now on; what an earlier one did to the market ends.

        Raises ConfigError for a coin that this market does not have.
        """
        coins = self._world.prices.coins
        unknown = [f.coin for f in plan.faults if f.coin and f.coin not in coins]
        if unknown:
            raise ConfigError(
                f"faults: coin: {unknown[0]!r} is not traded here, only {', '.join(coins)}"
            )
        for armed in self._armed:
            if armed.on:
                self._events.end(armed.fault)
        now = self._world.now
        self._armed = [self._arm(fault, n, plan.seed, now) for n, fault in enumerate(plan.faults)]
        self.active = bool(self._armed)
        self.advance()

    def report(self) -> list[dict[str, object]]:
        """What each fault of the plan has come to."""
        return [
            {"kind": a.fault.kind.value, "met": a.met, "struck": a.struck, "on": a.on}
            for a in self._armed
        ]

    def _arm(self, fault: Fault, number: int, seed: int, now: int) -> Armed:
        begin = now + int(fault.real("at_s") * 1000)
        lasting = float(fault.said.get("for_s", 0.0))
        until = begin + int(lasting * 1000) if lasting else None
        return Armed(fault, Random(f"{seed}|{number}"), begin, until)

    def _now(self, kinds: tuple[FaultKind, ...]) -> list[Armed]:
        now = self._world.now
        return [a for a in self._armed if a.fault.kind in kinds and a.lasts(now)]

    # --- time -----------------------------------------------------------------------------

    def advance(self) -> None:
        """Begin and end what is due by now."""
        now = self._world.now
        for armed in self._armed:
            fault = armed.fault
            if fault.kind in OF_A_WHILE:
                if armed.lasts(now) and not armed.on:
                    armed.on, armed.struck = True, 1
                    self._events.begin(fault)
                elif armed.on and not armed.lasts(now):
                    armed.on = False
                    self._events.end(fault)
            elif fault.kind is FaultKind.CUT_SOCKETS and armed.from_ms <= now and not armed.struck:
                armed.struck, self.cut = 1, True

    def tick(self) -> None:
        """After a tick: what happens at one moment happens once there is something to hit."""
        self.advance()
        for armed in self._armed:
            due = armed.from_ms <= self._world.now and not armed.struck
            if due and self._events.happens(armed.fault):
                armed.struck = 1

    # --- requests -------------------------------------------------------------------------

    def request(self, path: str, body: object) -> Fault | None:
        """The fault that strikes a request, the first of the plan; None mostly."""
        self.advance()
        met = self._now(OF_REQUESTS)
        if not met:
            return None
        names = names_of(path, body)
        for armed in met:
            if armed.fault.text("on") in names and armed.strikes():
                return armed.fault
        return None

    def answer(self, body: object, answer: object) -> object:
        """An answer of /info as a stale venue would give it."""
        return self._events.stale_answer(body, answer)

    # --- orders ---------------------------------------------------------------------------

    def order(self, account: AccountState, specs: list[OrderSpec], grouping: str) -> None:
        """Strike an order before it meets the book."""
        for armed in self._now(OF_ORDERS):
            spec = specs[0]
            if armed.fault.coin not in ("", spec.coin):
                continue
            entry = grouping == "normalTpsl" and not spec.reduce_only
            leaves = spec.reduce_only and spec.trigger is None
            if armed.fault.kind is FaultKind.PARTIAL_ENTRY and entry and armed.strikes():
                self._thin(spec, Decimal(str(armed.fault.real("fraction"))))
            elif armed.fault.kind is FaultKind.REDUCE_RACE and leaves and armed.strikes():
                self._events.race(account, spec.coin)

    def _thin(self, spec: OrderSpec, fraction: Decimal) -> None:
        """Leave so much of an order's size in the book, at the best price."""
        book = self._world.prices.book(spec.coin)
        size = spec.market.round_size(spec.size * fraction)
        facing = book.facing(spec.is_buy)
        left = (Level(facing[0].price, size),) if facing and size > ZERO else ()
        thin = Book(book.bids, left) if spec.is_buy else Book(left, book.asks)
        self._world.prices.eaten(spec.coin, thin)

    # --- frames ---------------------------------------------------------------------------

    def frames(self, key: Key, frame: str) -> list[tuple[Key, str]]:
        """What goes out instead of a frame: nothing, itself, itself twice, or another first."""
        if self._events.withheld(key, of_account=_of_account(key)):
            return []
        sent = [(key, frame)]
        for armed in self._now(OF_FRAMES):
            channels = armed.fault.text("channels")
            mine = channels == "all" or (channels == "account") == _of_account(key)
            if not mine or armed.fault.coin not in ("", key.coin) or not armed.strikes():
                continue
            match armed.fault.kind:
                case FaultKind.DROP:
                    return []
                case FaultKind.DUPLICATE:
                    sent = [*sent, (key, frame)]
                case _:
                    self._held += sent
                    return []
        held, self._held = self._held, []
        return [*sent, *held]

    def late_frames(self) -> list[tuple[Key, str]]:
        """Frames that no other one has overtaken."""
        held, self._held = self._held, []
        return held

    @property
    def mute(self) -> bool:
        """Whether pings stay without an answer."""
        return self._events.mute


def _of_account(key: Key) -> bool:
    return key.kind in (*OF_USER, *OF_BOTH)
