"""Owns the file locks that keep a second Keel away from a data folder or an account.

Refuses to know what is protected; the operating system frees a lock when its process dies.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from bot.domain.errors import AlreadyRunning, ConfigError

FILE_NAME = "keel.lock"


class FolderLock:
    """One lock file in `folder`, holding the pid of its owner.

    The file stays when the lock is released: removing it would let two processes lock two
    different files of the same name.
    """

    def __init__(self, folder: Path, name: str = FILE_NAME) -> None:
        self.path = folder / name
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock at once.

        Raises AlreadyRunning when another process has it, ConfigError when the folder cannot be
        written or does not support locks.
        """
        if self._file is not None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.write(file, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            owner = os.read(file, 32).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise AlreadyRunning(
                f"another Keel (process {owner}) works in {self.path.parent} "
                f"(lock {self.path.name}); stop it first, or set another DATA_DIR"
            ) from None
        except OSError as error:
            os.close(file)
            raise self._unusable(error) from error
        self._file = file

    def release(self) -> None:
        """Give the lock back; without one it does nothing."""
        if self._file is None:
            return
        os.ftruncate(self._file, 0)
        # Said outright: a child between fork and exec still has a copy of the file.
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)
        self._file = None

    def __enter__(self) -> FolderLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _unusable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"DATA_DIR {self.path.parent}: {error.strerror}; "
            "Keel needs a folder that it can write to, on a disk that supports locks"
        )
