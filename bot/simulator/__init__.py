"""The simulated exchange: Hyperliquid's HTTP and WebSocket protocol over `domain.matching`.

Owns a venue that runs on this machine; shares no wire code with the adapters that talk to
it, so that each can prove the other wrong.
"""

from bot.simulator.options import SimulatorOptions
from bot.simulator.server import SimulatedExchange

__all__ = ["SimulatedExchange", "SimulatorOptions"]
