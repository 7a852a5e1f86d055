"""docs/invariants.md names tests that exist, and enough of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "invariants.md"
ROW = re.compile(r"^\| ([a-z-]+) \| (.+) \| `([^`]+)::([A-Za-z_0-9.]+)` \|$")
MACHINE = "RuleBasedStateMachine"
LEAST = 20  # issue "Safety"


def rows() -> list[tuple[str, str, str, str]]:
    """(name, sentence, file, test) of each row of the tables."""
    lines = PAGE.read_text().splitlines()
    found = [ROW.match(line) for line in lines if line.startswith("|") and "::" in line]
    assert all(found), "a row with a test that does not read as one"
    return [match.groups() for match in found if match]  # type: ignore[misc]


def defined(file: Path) -> set[str]:
    """Tests of a module, and the methods of its machines as `Machine.method`."""
    names: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if node.name.startswith("test_"):
                names.add(node.name)
            case ast.ClassDef() if any(ast.unparse(one) == MACHINE for one in node.bases):
                names |= {f"{node.name}.{one.name}" for one in _run_by(node)}
    return names


def _run_by(machine: ast.ClassDef) -> list[ast.FunctionDef]:
    """Rules and invariants of a machine, and what they call of it."""
    methods = {one.name: one for one in machine.body if isinstance(one, ast.FunctionDef)}
    found = [one for one in methods.values() if any(_runs(mark) for mark in one.decorator_list)]
    for method in found:  # grows while we look
        called = {one.attr for one in ast.walk(method) if isinstance(one, ast.Attribute)}
        found += [methods[name] for name in sorted(called & methods.keys() - _names(found))]
    return found


def _runs(mark: ast.expr) -> bool:
    return ast.unparse(mark).partition("(")[0] in ("rule", "invariant")


def _names(methods: list[ast.FunctionDef]) -> set[str]:
    return {one.name for one in methods}


def test_there_are_enough_invariants_each_with_a_name_of_its_own() -> None:
    """At least twenty that a machine tries to break, and no two of one name."""
    names = [name for name, *_ in rows()]
    assert len(names) == len(set(names))
    assert sum("." in test for *_, test in rows()) >= LEAST


@pytest.mark.parametrize(("name", "sentence", "file", "test"), rows(), ids=lambda part: part[:40])
def test_each_names_a_test_that_exists(name: str, sentence: str, file: str, test: str) -> None:
    """A test that was renamed or deleted fails here, not in a reader's hands."""
    assert sentence.endswith(".")
    assert test in defined(ROOT / file), f"{name}: {file} has no {test}"
