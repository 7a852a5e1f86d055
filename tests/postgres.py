"""A PostgreSQL server of our own on loopback, started once for a test run and thrown away.

Owns starting, stopping and asking it from outside; knows no table of Keel by name.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]
import pytest

ABSENT = "PostgreSQL's server programs are absent (Debian: apt-get install postgresql)"
DEBIAN = Path("/usr/lib/postgresql")
ADMIN, PASSWORD = "keel", "c0rrect-h0rse"
SERVANT = "postgres"  # the server refuses to run as root

T = TypeVar("T")

# Durable enough for tests, and quick.
OPTIONS = "-c fsync=off -c max_connections=60"


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; None where they are not installed."""
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


class PostgresServer:
    """One cluster in a folder of its own, on a free port, with passwords asked for."""

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        self._folder = Path(tempfile.mkdtemp(prefix="keel-pg-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            servant = pwd.getpwnam(SERVANT)
            os.chown(self._folder, servant.pw_uid, servant.pw_gid)
            self._as = {"user": servant.pw_uid, "group": servant.pw_gid, "extra_groups": []}
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        secret = self._folder / "secret"
        secret.write_text(PASSWORD)
        self._run("initdb", "-D", self._data, "-U", ADMIN, "--auth=scram-sha-256",
                  f"--pwfile={secret}", "--no-sync", "--encoding=UTF8", "--locale=C")  # fmt: skip
        self.start()

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def start(self) -> None:
        """Start; returns when it answers."""
        where = f"-p {self.port} -c listen_addresses=127.0.0.1"
        sockets = f"-c unix_socket_directories={self._folder}"
        log = str(self._folder / "log")
        options = f"{where} {sockets} {OPTIONS}"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """End it as a crash would, cutting every connection; what was committed stays."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stop and forget everything."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str, user: str = ADMIN, password: str = PASSWORD) -> str:
        """As DATABASE_URL has it."""
        return f"postgresql+asyncpg://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def sql(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """Run statements as another program would, outside of any loop of the test."""
        return run_apart(lambda: self._ask(database, statement))

    def fresh(self, name: str) -> str:
        """An empty database; its URL."""
        self.sql("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.sql("postgres", f'CREATE DATABASE "{name}"')
        return self.url(name)

    @contextmanager
    def locked(self, database: str) -> Iterator[None]:
        """Another program lets nobody write, in any table; readers go on."""
        held, done = threading.Event(), threading.Event()

        async def hold() -> None:
            connection = await self._connect(database)
            try:
                async with connection.transaction():
                    tables = await connection.fetch(
                        "select tablename from pg_tables where schemaname = 'public'"
                    )
                    names = ", ".join(f'"{row[0]}"' for row in tables)
                    await connection.execute(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
                    held.set()
                    await asyncio.to_thread(done.wait)
            finally:
                await connection.close()

        thread = threading.Thread(target=lambda: asyncio.run(hold()))
        thread.start()
        try:
            assert held.wait(10), "the lock was not given"
            yield
        finally:
            done.set()
            thread.join()

    async def _ask(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        connection = await self._connect(database)
        try:
            if ";" in statement:  # several, without parameters and rows
                await connection.execute(statement)
                return []
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    async def _connect(self, database: str) -> Any:
        return await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=ADMIN, password=PASSWORD, database=database
        )

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would stay open in the server
            stderr=subprocess.DEVNULL,
            check=False,
            **self._as,
        )
        assert done.returncode == 0, f"{program} {arguments}: exit code {done.returncode}"


def run_apart(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on a loop of its own, also from within a running one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(make())).result()


_KEY = pytest.StashKey[PostgresServer]()


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> PostgresServer:
    """The one server of this test run; importing this fixture in many files starts no second."""
    config = request.config
    if _KEY not in config.stash:
        bin_folder = programs()
        if bin_folder is None:
            pytest.skip(ABSENT)
        config.stash[_KEY] = PostgresServer(bin_folder)
        config.add_cleanup(config.stash[_KEY].remove)
    return config.stash[_KEY]
