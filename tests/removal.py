"""Prove that each guard has a test that fails without it: `make guards`.

Owns the list's form (removal.toml: guard -> line -> test), taking a guard out of a copy of the
tree, and the verdict; knows no guard by name.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("removal.toml")
PARTS = ("bot", "config", "strategies", "tests", "benchmarks", "docs")
TEST_LIMIT_S = 120.0
AT_ONCE = 2
FAILED = 1  # pytest: some test failed; any other code but 0 is an accident, no proof


@dataclass(frozen=True, slots=True)
class Guard:
    """What is promised, the text that keeps it (once in `file`), and the test that would tell."""

    name: str
    file: str
    line: str
    test: str
    instead: str = ""

    def taken_out(self, source: str) -> str:
        """`source` without the guard. Raises ValueError when the line is not there once."""
        if (count := source.count(self.line)) != 1:
            raise ValueError(f"{self.name}: the line is {count} times in {self.file}, not once")
        return source.replace(self.line, self.instead)


def load(path: Path = LIST) -> tuple[Guard, ...]:
    """The list. Raises TypeError for an entry with a wrong key."""
    return tuple(Guard(**entry) for entry in tomllib.loads(path.read_text())["guard"])


def copy_tree(folder: Path) -> Path:
    """The tree as it is now, with the shared data beside it as here."""
    tree = folder / "main"
    tree.mkdir(parents=True)
    for part in PARTS:
        ignored = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(ROOT / part, tree / part, ignore=ignored)
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, tree / file.name)
    shared = ROOT / ".." / "shared"
    if shared.is_dir():
        (folder / "shared").symlink_to(shared.resolve())
    return tree


def run(tree: Path, tests: Sequence[str], limit_s: float = TEST_LIMIT_S) -> int:
    """pytest's exit code; 124 when it took too long."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124
    return done.returncode


def prove(guard: Guard, tree: Path, *, passes: bool = False) -> str:
    """Take the guard out, run its test, put it back; what is wrong, or nothing.

    `passes`: its test is known to pass with the guard in place.
    """
    file = tree / guard.file
    whole = file.read_text()
    if not passes and (code := run(tree, [guard.test])) != 0:
        return f"its test does not pass with it in place (pytest: {code})"
    file.write_text(guard.taken_out(whole))
    try:
        code = run(tree, [guard.test])
    finally:
        file.write_text(whole)
    if code == 0:
        return "nothing notices its absence"
    return "" if code == FAILED else f"its test did not fail but ended with {code}"


def main(argv: Sequence[str] | None = None) -> int:
    """Prove all, or those whose name holds a word; 1 when one is not proven."""
    parser = argparse.ArgumentParser(prog="make guards", description=main.__doc__)
    parser.add_argument("--only", default="", help="part of a guard's name or file")
    only = parser.parse_args(argv).only.lower()
    guards = [guard for guard in load() if only in f"{guard.name} {guard.file}".lower()]
    with tempfile.TemporaryDirectory(prefix="keel-guards-") as scratch:
        trees: SimpleQueue[Path] = SimpleQueue()
        copies = [copy_tree(Path(scratch) / str(number)) for number in range(AT_ONCE)]
        for copy in copies:
            trees.put(copy)
        # All at once costs one start of pytest; where one fails, each is asked for itself.
        tests = sorted({guard.test for guard in guards})
        passes = run(copies[0], tests, len(tests) * TEST_LIMIT_S) == 0

        def judged(guard: Guard) -> str:
            tree = trees.get()
            try:
                return prove(guard, tree, passes=passes)
            finally:
                trees.put(tree)

        unproven = 0
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for guard, wrong in zip(guards, pool.map(judged, guards), strict=True):
                unproven += bool(wrong)
                verdict = f"NOT PROVEN: {wrong}" if wrong else "its test fails without it"
                print(f"{guard.name} -> {guard.file} -> {guard.test}: {verdict}", flush=True)
    print(f"{len(guards) - unproven} of {len(guards)} guards proven")
    return 1 if unproven else 0


if __name__ == "__main__":
    raise SystemExit(main())
