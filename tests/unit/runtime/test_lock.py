"""One Keel a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bot.domain.errors import AlreadyRunning, ConfigError
from bot.runtime.lock import FolderLock

ROOT = Path(__file__).resolve().parents[3]
OWNER = """
import sys
from pathlib import Path
from bot.runtime.lock import FolderLock
FolderLock(Path(sys.argv[1])).acquire()
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    """AlreadyRunning names the owner's pid and the folder; kill -9 frees the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout is not None
        try:
            assert owner.stdout.readline() == b"locked\n"
            lock = FolderLock(tmp_path)
            with pytest.raises(AlreadyRunning) as caught:
                lock.acquire()
            assert f"process {owner.pid})" in str(caught.value)
            assert str(tmp_path) in str(caught.value)
        finally:
            owner.send_signal(signal.SIGKILL)
            owner.wait(5)
        lock.acquire()
        assert lock.path.read_text() == f"{os.getpid()}\n"
        lock.release()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    """Leaving the block frees it; taking or releasing twice is harmless."""
    lock = FolderLock(tmp_path / "made")
    with lock:
        lock.acquire()
        with pytest.raises(AlreadyRunning):
            FolderLock(tmp_path / "made").acquire()
    lock.release()
    with FolderLock(tmp_path / "made"):
        assert lock.path.exists()


def test_locks_of_different_names_do_not_meet(tmp_path: Path) -> None:
    """Live adds one lock for each venue account."""
    with FolderLock(tmp_path), FolderLock(tmp_path, "account-1.lock"):
        assert len(list(tmp_path.iterdir())) == 2


def test_a_child_program_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A subprocess (set-up of the database) that outlives a killed Keel holds nothing."""
    lock = FolderLock(tmp_path)
    lock.acquire()
    with subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        close_fds=False,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        assert lock._file is not None
        os.close(lock._file)  # as the system does it for a killed process
        with FolderLock(tmp_path):
            child.kill()


def test_an_unusable_folder_is_a_config_error(tmp_path: Path) -> None:
    """One line with the folder, the cause and the remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        FolderLock(tmp_path / "file").acquire()
    assert "DATA_DIR" in str(caught.value)
    assert "\n" not in str(caught.value)
