"""bot.runtime.database_url: two spellings, and what is said of every other one."""

from __future__ import annotations

import pytest

from bot.runtime.database_url import wrong_with

CANARY = "canary7f3e"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite:///keel.db",
        "sqlite+aiosqlite:////var/lib/keel/keel.db",
        "sqlite+aiosqlite:////home/a:b@c/keel.db",
        "postgresql+asyncpg://keel:p%40ss@db/keel",
        "postgresql+asyncpg://keel:p/ss?@db/keel",
        "postgresql+asyncpg://db/keel",
        "postgresql+asyncpg://keel@[::1]:5432/keel",
        "postgresql+asyncpg://keel:word@db.example:5433/keel?ssl=require",
    ],
)
def test_the_two_forms_are_allowed(url: str) -> None:
    """Paths from here and from the root; servers with and without user, port, ssl."""
    assert wrong_with(url) is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("keel.db", "is not a database URL"),
        ("sqlite:///x", "must be written sqlite+aiosqlite:///x"),
        ("sqlite:////x?a=b", "must be written sqlite+aiosqlite:////x"),
        ("sqlite+pysqlite:///x", "must be written sqlite+aiosqlite:///x"),
        (f"sqlite://u:{CANARY}@/x", "must be written sqlite+aiosqlite:///path/to/keel.db"),
        ("sqlite://", "must be written sqlite+aiosqlite:///path/to/keel.db"),
        ("sqlite+aiosqlite://x.db", "three strokes"),
        ("sqlite+aiosqlite:///", "must name a file"),
        ("sqlite+aiosqlite:///data/", "must name a file"),
        ("sqlite+aiosqlite:///:memory:", "must name a file"),
        ("sqlite+aiosqlite:///x?mode=ro", "file's name, such as ?...: sqlite+aiosqlite:///x"),
        ("sqlite+aiosqlite:///x?", "file's name, such as ?...: sqlite+aiosqlite:///x"),
        (f"postgres://u:{CANARY}@h/d", "must be written postgresql+asyncpg://user:password@"),
        (f"postgresql://u:{CANARY}@h/d", "must be written postgresql+asyncpg://user:password@"),
        (f"postgresql+psycopg2://u:{CANARY}@h/d", "must be written postgresql+asyncpg://"),
        (f"postgresql+asyncpg://u:{CANARY}@/d", "names no host"),
        (f"postgresql+asyncpg://u:{CANARY}@h", "no database"),
        (f"postgresql+asyncpg://u:{CANARY}@h/", "no database"),
        (f"postgresql+asyncpg://u:{CANARY}@h:99999/d", "a host or port that cannot be"),
        (f"postgresql+asyncpg://u:{CANARY}@h h/d", "a host or port that cannot be"),
        (f"postgresql+asyncpg://u:{CANARY}@x@h/d", "in a password it is written %40"),
        (f"postgresql+asyncpg://u:{CANARY}@h/d?sslmode=require", "nothing after ? but ssl="),
        (f"postgresql+asyncpg://u:{CANARY}@h/d?ssl=maybe", "one of disable, allow, prefer"),
        (f"mysql://u:{CANARY}@h/d", "asks for mysql; allowed is sqlite+aiosqlite"),
    ],
)
def test_every_other_spelling_is_answered_with_the_right_one(url: str, says: str) -> None:
    """And never with a password."""
    said = wrong_with(url)
    assert said is not None and says in said and CANARY not in said
