"""The real daemon on a loop that is measured, from its start to its stop.

Owns starting it in this process, waiting until it trades, and stopping it; measures nothing
itself and changes nothing that the daemon does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.lag import Probe
from bot.app import daemon, parts
from bot.app.parts import Parts
from bot.runtime.logs import LogOptions, configure
from config.settings import load
from tests.daemon import Process, free_port
from tests.until import until

READY_S = 180.0

During = Callable[[Parts, Probe], Awaitable[None]]


class Venue(Process):
    """`python -m benchmarks.venue` in `folder`."""

    def __init__(self, folder: Path, coins: int, speed: float) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "venue.log"
        given = {"port": self.port, "speed": speed, "coins": coins, "folder": folder}
        flags = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        super().__init__(folder, "venue", ["-m", "benchmarks.venue", *flags])


def run(probe: Probe, folder: Path, flags: Mapping[str, str], during: During) -> int:
    """Run the daemon, `during` beside it once it scans, then stop it; its exit code."""
    fixed = {"DATA_DIR": str(folder), "HTTP_PORT": str(free_port()), "LOG_CONSOLE_LEVEL": "ERROR"}
    loaded = load({**fixed, **flags}, {}, None)
    configure(LogOptions(folder, "ERROR", "INFO"))
    found: dict[str, Parts] = {}
    build = parts.build

    def built(*arguments: Any, **named: Any) -> Parts:
        found["parts"] = build(*arguments, **named)
        return found["parts"]

    async def beside() -> None:
        await _scanning(found)
        await during(found["parts"], probe)

    async def whole() -> int:
        async with asyncio.TaskGroup() as group:
            timer = group.create_task(probe.time())
            life = group.create_task(daemon._live(loaded))
            work = group.create_task(beside())
            await asyncio.wait((life, work), return_when=asyncio.FIRST_COMPLETED)
            timer.cancel()
            if not work.done():  # a SIGTERM is the daemon's: without it there is no measuring
                work.cancel()
                sys.exit(f"the daemon ended with {await life} before the measurement was over")
            if not life.done():
                os.kill(os.getpid(), signal.SIGTERM)
            return await life

    with patch.object(daemon, "build", built):
        return probe.run(whole)


async def _scanning(found: Mapping[str, Parts]) -> None:
    """Until the second cycle is over: what the first one fetches is the start's figure."""
    await until(lambda: "parts" in found and found["parts"].road.cycles >= 3, READY_S)
