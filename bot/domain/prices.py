"""What asking a model costs: prices by the day from which they hold, exact to the last digit.

Owns the arithmetic of tokens and the name of a price; knows no provider and no budget.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from bot.domain import canonical
from bot.domain.errors import ConfigError
from bot.domain.types import ZERO, Usage

PER_TOKENS = Decimal(1_000_000)  # prices are quoted in USD a million tokens
ANY_MODEL = "*"  # a provider with one price for all, such as a model of one's own machine


@dataclass(frozen=True, slots=True)
class Price:
    """USD a million tokens of one model from one day on. Reasoning is billed as output."""

    model: str
    effective_from: date
    input: Decimal
    cached: Decimal
    output: Decimal

    def __post_init__(self) -> None:
        for name, value in (
            ("input", self.input),
            ("cached", self.cached),
            ("output", self.output),
        ):
            if not value.is_finite() or value < 0:
                raise ValueError(f"price of {self.model}: {name} must be 0 or more, is {value}")

    @property
    def version(self) -> str:
        """Names these very numbers, so that an edited price is another version."""
        said = canonical.dumps([self.input, self.cached, self.output])
        return f"{self.model}@{self.effective_from}#{hashlib.sha256(said).hexdigest()[:8]}"

    def cost(self, usage: Usage) -> Decimal:
        """USD of this usage, not rounded. Tokens that are said to be cached cost less."""
        cached = min(max(usage.cached, 0), usage.input)
        dollars = (
            (usage.input - cached) * self.input + cached * self.cached + usage.output * self.output
        )
        return dollars / PER_TOKENS

    def most(self, input_bytes: int, output_tokens: int) -> Decimal:
        """The most that a call may cost, USD: no cache, and no token is less than a byte."""
        return (input_bytes * max(self.input, self.cached) + output_tokens * self.output) / (
            PER_TOKENS
        )


class PriceBook:
    """The prices of one provider, found by model and day."""

    def __init__(self, prices: Sequence[Price]) -> None:
        self._prices = sorted(prices, key=lambda price: price.effective_from, reverse=True)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that have a price, each once."""
        return tuple(sorted({price.model for price in self._prices}))

    def at(self, model: str, wall_ms: int) -> Price:
        """The price of a model on the UTC day of `wall_ms`; ANY_MODEL stands in for the rest.

        Raises ConfigError when there is none: what a call costs must be known before it is made.
        """
        day = day_of(wall_ms)
        for name in (model, ANY_MODEL):
            for price in self._prices:
                if price.model == name and price.effective_from <= day:
                    return price
        known = ", ".join(self.models) or "none"
        raise ConfigError(
            f"no price of model {model} is known on {day}; known are {known}: add a dated price "
            "to config/models.toml, or name a known model"
        )


def day_of(wall_ms: int) -> date:
    """The UTC day of a moment."""
    return datetime.fromtimestamp(wall_ms / 1000, UTC).date()


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """USD; asking stops before either would be passed."""

    per_decision: Decimal
    per_day: Decimal  # UTC, wall clock: providers bill in real time, whatever the market's speed


def refusal(limits: SpendingLimits, wanted: Decimal, decision: Decimal, day: Decimal) -> str | None:
    """Why `wanted` may not be spent beside what stands already; None when it may."""
    if decision + wanted > limits.per_decision:
        left = max(limits.per_decision - decision, ZERO)
        return f"up to {wanted:.6f} USD, {left:.6f} left of {limits.per_decision} a decision"
    if day + wanted > limits.per_day:
        left = max(limits.per_day - day, ZERO)
        return f"up to {wanted:.6f} USD, {left:.6f} left of {limits.per_day} a day"
    return None
