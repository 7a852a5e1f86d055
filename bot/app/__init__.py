"""Composition root: the only package that knows settings and adapters both.

Owns which parts make up a Keel in each mode; every part is handed what it needs.
"""

from bot.app.daemon import run_daemon
from bot.app.offline import replay, run_health_server

__all__ = ["replay", "run_daemon", "run_health_server"]
