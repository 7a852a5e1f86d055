"""`python -m bot.simulator`: the simulated exchange as a process of its own.

Owns its command line and exit codes (0 stopped, 2 mend the input first); knows no rule of
the venue.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NoReturn

from bot.domain.errors import ConfigError
from bot.domain.types import Ms
from bot.runtime.clock import ScaledClock, SystemClock
from bot.simulator.errors import table
from bot.simulator.faults import NO_FAULTS, load_plan
from bot.simulator.options import LARGEST_SEED, MODES, SimulatorOptions
from bot.simulator.server import SimulatedExchange

DEFAULT_PORT = 3001  # the SDK's LOCAL_API_URL
MAX = "max"
FASTEST = 100_000.0  # beyond it a scaled clock cannot keep step
DIGITS = 40  # of a number on the command line that are read, or shown


class FreeClock(ScaledClock):
    """Market time that stands at the last tick played: ticks follow each other at once."""

    def __init__(self, epoch: Ms) -> None:
        super().__init__(epoch=epoch, speed=1.0)
        self._at = epoch

    def now(self) -> Ms:
        return self._at

    async def sleep_until(self, at: Ms) -> None:
        self._at = max(self._at, at)
        await asyncio.sleep(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    chosen = _parser().parse_args(arguments)
    if chosen.errors:
        sys.stdout.write(table())
        return 0
    try:
        asyncio.run(_serve(chosen))
    except ConfigError as problem:
        sys.stderr.write(f"{' | '.join(problem.problems)}\n")
        return 2
    except OSError as problem:
        sys.stderr.write(f"port {chosen.port}: cannot be used ({problem.strerror})\n")
        return 2
    return 0


async def _serve(chosen: argparse.Namespace) -> None:
    options = SimulatorOptions(
        ledger=chosen.ledger,
        seed=chosen.seed,
        balance=chosen.balance,
        candles=tuple(chosen.candles),
        accounts=tuple(chosen.account),
        abstraction=chosen.abstraction,
        rate_limit=chosen.rate_limit,
        idle_close_s=chosen.idle_close,
        tick_s=chosen.tick,
        half_spread_bps=chosen.half_spread_bps,
        depth_usd=chosen.depth_usd,
        faults=load_plan(chosen.faults) if chosen.faults is not None else NO_FAULTS,
    )
    exchange = SimulatedExchange(options, Ms(SystemClock().wall()))
    free = chosen.speed == MAX
    clock = FreeClock(exchange.start_at) if free else ScaledClock(exchange.start_at, chosen.speed)
    try:
        await exchange.serve(clock, port=chosen.port, drain=free)
        await _until_stopped(exchange)
    finally:
        await exchange.close()


async def _until_stopped(exchange: SimulatedExchange) -> None:
    """Play ticks until a signal asks to stop; a tick under way is finished."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with asyncio.TaskGroup() as group:
        playing = group.create_task(exchange.run())
        playing.add_done_callback(lambda _: stop.set())
        await stop.wait()
        await exchange.close()
        playing.cancel()


class _Parser(argparse.ArgumentParser):
    """argparse that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message[:300]}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m bot.simulator", allow_abbrev=False)
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help="0: any free one")
    parser.add_argument("--candles", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--speed", type=_speed, default=1.0, help=f"a number, or {MAX}")
    parser.add_argument("--seed", type=_seed, default=1)
    parser.add_argument("--balance", type=_decimal, default=Decimal(10_000))
    parser.add_argument("--ledger", type=Path, default=Path("simulator.db"))
    parser.add_argument("--account", action="append", default=[], metavar="0x…")
    parser.add_argument("--abstraction", choices=MODES, default=MODES[0], help="of new accounts")
    parser.add_argument(
        "--rate-limit",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="all limits on requests, connections, messages and subscriptions",
    )
    parser.add_argument(
        "--idle-close", type=float, default=60.0, metavar="SECONDS", help="0: never"
    )
    parser.add_argument("--tick", type=float, default=5.0, metavar="S")
    parser.add_argument("--half-spread-bps", type=float, default=1.0)
    parser.add_argument("--depth-usd", type=float, default=250_000.0)
    parser.add_argument("--faults", type=Path, metavar="FILE", help="script of what goes wrong")
    parser.add_argument("--errors", action="store_true", help="write the table of error texts")
    return parser


def _port(text: str) -> int:
    return _whole(text, 65_535)


def _seed(text: str) -> int:
    return _whole(text, LARGEST_SEED)


def _whole(text: str, most: int) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else -1
    if not 0 <= number <= most:
        raise argparse.ArgumentTypeError(f"expected 0 to {most}, found {text[:DIGITS]!r}")
    return number


def _speed(text: str) -> float | str:
    if text == MAX:
        return MAX
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= FASTEST:
        raise argparse.ArgumentTypeError(
            f"expected a number above 0 and at most {FASTEST:g}, or {MAX}, found {text[:DIGITS]!r}"
        )
    return value


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"expected a number, found {text[:DIGITS]!r}") from None


if __name__ == "__main__":
    sys.exit(main())
