"""Where a daemon keeps its books, whether it runs, and what it says; it is not disturbed.

Owns the place of its database, the look at its lock and the question to its page; takes no
lock that a daemon needs.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psutil

from bot.adapters.store.place import Place, place_of, place_of_file
from bot.app.world import world_name
from bot.runtime.lock import FILE_NAME
from bot.web.access import TOKEN_FILE
from config.settings import Settings

ANSWER_S = 3.0
HEALTH = "/health"
EVERYWHERE = ("0.0.0.0", "::", "")  # listened on; asked locally


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of whoever listens on HTTP_PORT; `code` 0 when it was no HTTP."""

    code: int
    body: Mapping[str, Any]

    @property
    def is_keel(self) -> bool:
        """Whether it answers as our /health does."""
        return {"status", "mode", "version"} <= set(self.body)


def place_named(settings: Settings) -> Place:
    """The database that the settings name. Raises ConfigError for a URL that names none."""
    if settings.general.database_url is not None:
        return place_of(settings.general.database_url.get_secret_value())
    return place_of_file(settings.general.data_dir / world_name(settings) / "keel.db")


def owner_of(folder: Path) -> int | None:
    """The process that holds the folder's lock; None when nobody does."""
    path = folder / FILE_NAME
    try:
        written = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    if not written.isdecimal() or not psutil.pid_exists(int(written)):
        return None  # the owner was killed: the system has freed its lock
    return int(written) if _locked(path) else None


def ask_page(settings: Settings, path: str) -> Page | None:
    """GET `path` of the page that the settings name; None when nobody listens there.

    Who listens may be a stranger: what needs no token is asked without one.
    """
    host, port = settings.web.http_host, settings.web.http_port
    place = "127.0.0.1" if host in EVERYWHERE else host
    try:
        with closing(HTTPConnection(place, port, timeout=ANSWER_S)) as line:
            line.request("GET", path, headers={} if path == HEALTH else _authority(settings))
            answer = line.getresponse()
            body = json.loads(answer.read())
            return Page(answer.status, body if isinstance(body, dict) else {})
    except ConnectionRefusedError:
        return None
    except (OSError, HTTPException, ValueError):
        return Page(0, {})


def ask_status(settings: Settings) -> Mapping[str, Any]:
    """/status of the daemon of this very world; empty when it does not run or answer."""
    if settings.web.http_port == 0 or owner_of(settings.general.data_dir) is None:
        return {}
    known = ask_page(settings, HEALTH)
    if known is None or not known.is_keel:
        return {}
    page = ask_page(settings, "/status")
    if page is None or page.body.get("world") != world_name(settings):
        return {}
    return page.body


def _locked(path: Path) -> bool:
    """Look for the moment of a call whether the lock is held.

    Only asked while the process named in the file lives, so that a daemon about to start
    never meets this look.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _authority(settings: Settings) -> Mapping[str, str]:
    """The token, where one is kept; on loopback reading works without."""
    given = settings.web.api_token
    if given is not None:
        return {"Authorization": f"Bearer {given.get_secret_value()}"}
    try:
        kept = (settings.general.data_dir / TOKEN_FILE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return {}
    return {"Authorization": f"Bearer {kept}"} if kept else {}
