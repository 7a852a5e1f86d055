"""Whether a simulated exchange of another process still runs at the speed that we follow.

Owns the question after each reconnection; changes no clock. One that was started again with
another --speed has another market time, and every limit in it would be wrong from then on.
"""

from __future__ import annotations

import asyncio

import structlog

from bot.app.world import World, ask_clock
from bot.domain.errors import ConfigError

log = structlog.get_logger(__name__)

AGAIN_S = 1.0  # machine time after a question without an answer


class Followed:
    """A service; `came_up` wakes it with each connection after a gap."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._doubt = asyncio.Event()

    async def came_up(self, after_gap: bool, _gap_s: float) -> None:
        """Note a connection: behind a gap there may be another life of the exchange."""
        if after_gap:
            self._doubt.set()

    async def run(self) -> None:
        """Service: ask whenever there is doubt. Raises ConfigError when the speed is another."""
        while True:
            await self._doubt.wait()
            if await self.step():
                self._doubt.clear()
            else:
                await self._world.clock.pause(AGAIN_S)

    async def step(self) -> bool:
        """Ask once; whether there was an answer. Raises ConfigError when the speed is another."""
        url, ours = self._world.base_url, self._world.speed
        try:
            said = await ask_clock(url)
        except ConfigError as error:
            log.warning("exchange_clock_not_asked", error=str(error))
            return False
        if said.speed != ours:
            now = said.speed if said.speed == "max" else f"{said.speed:g}"
            raise ConfigError(
                f"HYPERLIQUID_BASE_URL: the simulator at {url} was started again with --speed "
                f"{now}, before it was {ours:g}; start Keel again to follow it, or the "
                f"simulator with --speed {ours:g}"
            )
        return True
