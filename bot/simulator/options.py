"""What a simulated world is made from.

Owns the options' defaults and limits; knows no settings, environment or command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from bot.domain.errors import ConfigError
from bot.simulator.faults.plan import NO_FAULTS, FaultPlan

MINUTE_S = 60
LARGEST_SEED = 2**63 - 1
LARGEST_USD = 1e15  # of a balance or a book; beyond it numbers are no account's
MODES = ("disabled", "default", "unifiedAccount", "portfolioMargin")  # facts 1.3, userAbstraction


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """One world: invented prices from `seed`, or the candle files given.

    `ledger` is the path of `simulator.db`; `balance` is USDC of each new account, kept as
    `abstraction` says; `half_spread_bps` and `depth_usd` (a side, over all levels) shape the
    book. `rate_limit` switches every limit on requests, connections, messages and
    subscriptions; a socket that was sent nothing for `idle_close_s` of machine time is
    closed, 0 never (nor in lockstep). Raises ConfigError when a value cannot be used.
    """

    ledger: Path
    seed: int = 1
    balance: Decimal = Decimal(10_000)
    candles: tuple[Path, ...] = ()
    warmup_bars: int = 250
    tick_s: float = 5.0  # of market time, in worlds of invented prices
    half_spread_bps: float = 1.0
    depth_usd: float = 250_000.0
    rate_limit: bool = True
    accounts: tuple[str, ...] = ()
    abstraction: str = "disabled"
    idle_close_s: float = 60.0
    faults: FaultPlan = NO_FAULTS

    def __post_init__(self) -> None:
        problems = []
        if not 0 <= self.seed <= LARGEST_SEED:
            problems.append(f"seed: expected 0 to 2^63 - 1, found {self.seed}")
        if not (self.balance.is_finite() and 0 <= self.balance <= LARGEST_USD):
            problems.append(f"balance: expected 0 to {LARGEST_USD:g}, found {self.balance}")
        if self.warmup_bars < 0:
            problems.append(f"warmup_bars: expected at least 0, found {self.warmup_bars}")
        ticks = MINUTE_S / self.tick_s if self.tick_s > 0 else 0.0
        if not (1 <= ticks <= MINUTE_S and ticks == int(ticks)):
            problems.append(
                f"tick_s: expected 1 to 60 seconds that divide a minute, found {self.tick_s}"
            )
        if not 0 < self.half_spread_bps <= 1000:
            problems.append(f"half_spread_bps: expected 0 to 1000, found {self.half_spread_bps}")
        if not 0 < self.depth_usd <= LARGEST_USD:
            problems.append(
                f"depth_usd: expected more than 0, at most {LARGEST_USD:g}, found {self.depth_usd}"
            )
        if self.abstraction not in MODES:
            problems.append(
                f"abstraction: expected one of {', '.join(MODES)}, found {self.abstraction}"
            )
        if not 0 <= self.idle_close_s <= 3_600:
            problems.append(f"idle_close_s: expected 0 to 3600, found {self.idle_close_s}")
        problems += [
            f"account: expected 0x and 40 hex digits, found {account}"
            for account in self.accounts
            if not is_address(account)
        ]
        if problems:
            raise ConfigError(*(f"simulator {problem}" for problem in problems))


def is_address(text: str) -> bool:
    """Whether `text` has the form of an account address."""
    if len(text) != 42 or not text.startswith("0x"):
        return False
    return all(digit in "0123456789abcdefABCDEF" for digit in text[2:])
