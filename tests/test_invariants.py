"""docs/invariants.md names tests that exist, and enough of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "invariants.md"
ROW = re.compile(r"^\| ([a-z-]+) \| (.+) \| `([^`]+)::([A-Za-z_0-9]+)` \|$")
LEAST = 20  # issue "Safety"


def rows() -> list[tuple[str, str, str, str]]:
    """(name, sentence, file, test) of each row of the tables."""
    lines = PAGE.read_text().splitlines()
    found = [ROW.match(line) for line in lines if line.startswith("|") and "::" in line]
    assert all(found), "a row with a test that does not read as one"
    return [match.groups() for match in found if match]  # type: ignore[misc]


def defined(file: Path) -> set[str]:
    """Functions, classes and assigned names of a module."""
    names: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def test_there_are_enough_invariants_each_with_a_name_of_its_own() -> None:
    """At least twenty, and no two of one name."""
    names = [name for name, *_ in rows()]
    assert len(names) == len(set(names)) >= LEAST


@pytest.mark.parametrize(("name", "sentence", "file", "test"), rows(), ids=lambda part: part[:40])
def test_each_names_a_test_that_exists(name: str, sentence: str, file: str, test: str) -> None:
    """A test that was renamed or deleted fails here, not in a reader's hands."""
    assert sentence.endswith(".")
    assert test in defined(ROOT / file), f"{name}: {file} has no {test}"
