"""The daily jobs: a backup each day of wall time, an alert when due, old traces into the archive
and old rows of the council away.

Owns when; how is the store's. Also what the view `trading_config` is told about this run.
"""

from __future__ import annotations

import structlog

from bot.adapters.store import Backup, Backups, Store
from bot.domain.errors import AlreadyRunning, ConfigError, TransientError
from bot.domain.types import Ms
from bot.ports import Changes, Clock
from config.settings import Settings

log = structlog.get_logger(__name__)

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
FIRST_S = 60.0  # start-up goes first
CHECK_S = 600.0
ALERT_HOURS = 48.0  # spec 40, Database
BACKUP_FOLDER = "backups"


class Keeping:
    """A service; nothing on the road waits for it."""

    def __init__(self, store: Store, backups: Backups, clock: Clock, traces_kept_days: int) -> None:
        self._store = store
        self._backups = backups
        self._clock = clock
        self._kept_ms = traces_kept_days * DAY_MS
        self._started = clock.wall()
        self._newest: Backup | None = None
        self._error = ""
        self._alerted = False
        self._archived_to: Ms | None = None

    async def run(self) -> None:
        """Service: look whether something is due, every 10 minutes."""
        await self._clock.pause(FIRST_S)
        self._newest = self._backups.newest()
        while True:
            with self._clock.busy():
                await self.step()
            await self._clock.pause(CHECK_S)

    async def step(self) -> None:
        """Do what is due; what fails is said and tried again at the next step."""
        await self._back_up()
        self._alert()
        await self._tidy()

    def backup_age_h(self) -> float | None:
        """Hours of wall time since the last backup; None before the first."""
        if self._newest is None:
            return None
        return round((self._clock.wall() - self._newest.made_at) / HOUR_MS, 2)

    def state(self) -> dict[str, object]:
        """For /status."""
        return {
            "last_backup_at": self._newest.made_at if self._newest is not None else None,
            "age_hours": self.backup_age_h(),
            "error": self._error,
        }

    async def _back_up(self) -> None:
        last = self._newest
        if last is not None and last.made_at // DAY_MS == self._clock.wall() // DAY_MS:
            return
        try:
            self._newest = await self._backups.make()
        except (TransientError, ConfigError) as error:
            if str(error) != self._error:
                log.warning("backup_failed", error=str(error))
            self._error = str(error)
            return
        self._error = ""
        self._alerted = False

    def _alert(self) -> None:
        """Once, until there is a new backup."""
        since = self._newest.made_at if self._newest is not None else self._started
        age_h = (self._clock.wall() - since) / HOUR_MS
        if age_h > ALERT_HOURS and not self._alerted:
            self._alerted = True
            log.warning(
                "backup_old",
                age_hours=round(age_h),
                limit_hours=ALERT_HOURS,
                error=self._error,
                remedy="python main.py db backup says why none is made",
            )

    async def _tidy(self) -> None:
        """Once a day of market time: a trace's age is market time, too.

        What asking models came to is in the traces, so its own rows go when those move; attempts
        are dated by the wall clock, as providers bill.
        """
        now = self._clock.now()
        if self._archived_to is not None and now - self._archived_to < DAY_MS:
            return
        try:
            await self._store.archive.move_older(Ms(now - self._kept_ms))
            await self._store.answers.forget(Ms(now - self._kept_ms))
            await self._store.attempts.forget(self._clock.wall() - self._kept_ms)
        except (TransientError, ConfigError, AlreadyRunning) as error:
            log.warning("traces_not_archived", error=str(error))
            return
        self._archived_to = now


def trading_config(settings: Settings) -> Changes:
    """What `trading_config` shows beside the journal's own rows."""
    said = {
        "mode": settings.general.mode,
        "profile": settings.general.profile,
        "initial_capital": settings.risk.initial_capital,
    }
    return Changes(state={"settings": said})
