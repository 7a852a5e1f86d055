"""What /status and /health say of the venue's clock against ours.

Owns that one shape; reads memory only.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.app.parts import Parts
from bot.web.view import Component, HealthState


def clock_status(parts: Parts) -> Mapping[str, object]:
    """Machine time throughout; `ahead_ms` is the venue's clock less ours, as last told.

    `known`: an answer that counts is there, or both clocks are one and nobody asks (`compared`).
    Without it, or beyond `limit_ms`, nothing is opened.
    """
    health, at = parts.health, parts.health.measured_at
    age_s = None if at is None else round(parts.world.clock.monotonic() - at, 1)
    return {
        "compared": health.compares_clocks,
        "known": health.clock_known,
        "ahead_ms": health.skew_ms,
        "age_s": age_s,
        "limit_ms": parts.policies.limits.max_clock_skew_ms,
    }


def clock_component(parts: Parts) -> Component:
    """Degraded while the clocks keep entries back."""
    health, limit = parts.health, parts.policies.limits.max_clock_skew_ms
    if not health.compares_clocks:
        return Component("clock", HealthState.OK, "one with the venue's")
    skew = health.skew_ms
    told = "never told" if skew is None else f"last {skew:+} ms from ours"
    if not health.clock_known:
        return Component("clock", HealthState.DEGRADED, f"the venue's is not known, {told}")
    if skew is None:
        return Component("clock", HealthState.OK, "not compared yet")
    if abs(skew) > limit:
        detail = f"the venue's is {skew:+} ms from ours, {limit} allowed"
        return Component("clock", HealthState.DEGRADED, detail)
    return Component("clock", HealthState.OK, f"the venue's is {skew:+} ms from ours")
