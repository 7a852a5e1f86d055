"""Market time as the breakers believe it: a clock that jumps closes nothing early.

Owns how far a reading of the clock is believed; knows neither clock nor venue.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.types import Ms

# Machine seconds by which market time may run ahead of machine time between two looks:
# slewing of NTP is 0.5 ms a second, a step of it is a jump.
JUMP_S = 2.0


@dataclass(frozen=True, slots=True)
class TrustedTime:
    """The believed market time at the last look, which was at machine time `machine_s`.

    `doubted`: the clock jumped (or the process was away), and the venue has not agreed with
    it since `doubted_from`; until then belief goes on at the pace of machine time.
    """

    market: Ms
    machine_s: float
    doubted: bool = False
    doubted_from: float = 0.0

    @staticmethod
    def begin(now: Ms, machine_s: float, last_seen: Ms) -> TrustedTime:
        """Start from the newest stored moment: what the clock says beyond it must be agreed."""
        if not last_seen:
            return TrustedTime(now, machine_s)
        return TrustedTime(last_seen, machine_s, doubted=True, doubted_from=machine_s)

    def look(self, now: Ms, machine_s: float, speed: float) -> TrustedTime:
        """Read the clock: believed as far as machine time (times `speed`) bears it out.

        Belief never runs back: a clock that was set back is waited for at machine pace.
        """
        passed_ms = max(0.0, machine_s - self.machine_s) * 1000 * speed
        bearable = self.market + passed_ms
        jumped = abs(now - bearable) > JUMP_S * 1000 * speed
        if self.doubted or jumped:
            since = self.doubted_from if self.doubted else machine_s
            return TrustedTime(Ms(int(bearable)), machine_s, True, since)
        return TrustedTime(Ms(max(self.market, now)), machine_s)

    def agreed(self, now: Ms, machine_s: float) -> TrustedTime:
        """The venue's clock agreed with ours after the jump: believe it again."""
        return TrustedTime(Ms(max(self.market, now)), machine_s)
