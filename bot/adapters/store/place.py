"""Where a store lies: a SQLite file or a PostgreSQL database, named without its password.

Owns the reading of DATABASE_URL; opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from bot.domain.errors import ConfigError
from bot.runtime.database_url import FORMS, wrong_with

_PORT = 5432  # PostgreSQL's own


@dataclass(frozen=True, slots=True)
class Place:
    """One database; its text is fit for messages."""

    url: URL

    @property
    def is_file(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def path(self) -> Path:
        """The file. Raises ConfigError when the store lies on a server."""
        if not self.is_file or self.url.database is None:
            raise ConfigError(f"database {self} lies on a server, not in a file")
        return Path(self.url.database)

    @property
    def password(self) -> str | None:
        """What no text may show."""
        return None if self.url.password is None else str(self.url.password)

    @property
    def daemon_url(self) -> URL:
        """How the daemon connects: an existing file only, so that one that went is not made new."""
        if not self.is_file:
            return self.url
        name = f"file:{quote(str(self.path))}"
        return self.url.set(database=name, query={"mode": "rw", "uri": "true"})

    @property
    def whole(self) -> str:
        """The URL with its password, for another process: never for a log."""
        return self.url.render_as_string(hide_password=False)

    def __str__(self) -> str:
        if self.is_file:
            return str(self.url.database)
        user = f"{self.url.username}@" if self.url.username else ""
        return f"{user}{self.url.host}:{self.url.port or _PORT}/{self.url.database}"


def place_of_file(path: Path) -> Place:
    """The place of a SQLite file."""
    return Place(URL.create("sqlite+aiosqlite", database=str(path.absolute())))


def place_of(url: str) -> Place:
    """Read a DATABASE_URL.

    Raises ConfigError for every other spelling than the two that are allowed; the message
    never repeats a URL with a password.
    """
    if (wrong := wrong_with(url)) is not None:
        raise ConfigError(f"DATABASE_URL {wrong}")
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(f"DATABASE_URL is not a database URL; allowed is {FORMS}") from None
    if parsed.get_backend_name() == "sqlite":
        return place_of_file(Path(str(parsed.database)))
    return Place(parsed)
