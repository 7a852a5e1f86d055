"""The market when it is not as usual: halted, post-only, thin, delisted, with its funding set.

Owns what the rules ask about such times; knows neither who brings them about nor when they
end. A world of which nobody says anything is as usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from bot.domain.instrument import Instrument
from bot.simulator.errors import Denial, Error, Refused, denial

USUAL = Decimal(1)


class Wish(Protocol):
    """What an order says that matters here (`rules.OrderSpec`)."""

    @property
    def market(self) -> Instrument: ...
    @property
    def coin(self) -> str: ...
    @property
    def trigger(self) -> Decimal | None: ...
    @property
    def tif(self) -> str | None: ...
    @property
    def reduce_only(self) -> bool: ...


@dataclass(slots=True)
class Conditions:
    """Coins by what is the matter with them; `depth` is a factor on the book, 0 an empty one."""

    post_only: bool = False
    halted: set[str] = field(default_factory=set)
    delisted: set[str] = field(default_factory=set)
    capped: set[str] = field(default_factory=set)  # at the cap of open interest
    depth: dict[str, Decimal] = field(default_factory=dict)
    funding: dict[str, Decimal] = field(default_factory=dict)  # hourly rate
    apart: dict[str, Decimal] = field(default_factory=dict)  # of the mid by which the mark is off
    skew_ms: int = 0  # what the venue's clock says too much
    leave_triggers: bool = False  # stops and targets stay when their position goes

    def judge(self, specs: Sequence[Wish]) -> None:
        """Raise Refused where the venue takes no such order now."""
        takes = [spec for spec in specs if spec.trigger is None and spec.tif != "Alo"]
        if self.post_only and takes:
            raise Refused(Error.POST_ONLY_WINDOW)
        for spec in specs:
            if spec.coin in self.halted:
                raise Refused(Error.HALTED, asset=spec.market.asset_id)
            if spec.coin in self.delisted and not spec.reduce_only:
                raise Refused(Error.DELISTED, asset=spec.market.asset_id)

    def judge_one(self, spec: Wish) -> Denial | None:
        """Why this one order is refused now."""
        if spec.coin in self.capped and not spec.reduce_only:
            return denial(Error.OPEN_INTEREST)
        return None
