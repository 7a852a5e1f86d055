"""The list of guards is true: each line is there once, each test exists; and the prover proves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bot.domain.approval import approve
from bot.domain.breakers import BreakerCode
from bot.domain.risk import account, trade
from tests.removal import ROOT, Guard, load, prove
from tests.unit.domain.test_approval import GOOD, POLICY

GUARDS = load()
ANY_BREAKER = "risk gate: rule"  # one function makes the rules of all breakers
SOURCE = "def allowed(size):\n    if size > 3:\n        return False\n    return True\n"
TEST = "from bot.rule import allowed\n\n\ndef test_rule():\n    assert {}\n"


def names_in(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_the_list_names_what_there_is(guard: Guard) -> None:
    """A guard that moved, or a test that was renamed, is told at once."""
    source = (ROOT / guard.file).read_text()
    ast.parse(guard.taken_out(source))
    file, _, test = guard.test.partition("::")
    assert test.partition("[")[0] in names_in(ROOT / file)


def test_no_guard_is_listed_twice() -> None:
    """By its name."""
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)


def test_every_check_of_the_approval_gate_is_listed() -> None:
    """A rule that joins the gate is proven like the others, or this fails."""
    listed = [guard.name.partition("approval gate: ")[2] for guard in GUARDS]
    assert sorted(filter(None, listed)) == sorted(
        check.code for check in approve(GOOD, POLICY).checks
    )


def test_every_rule_and_every_breaker_has_its_guard() -> None:
    """Each rule of the gate, each breaker in the gate, and what opens each breaker."""
    rules = (*account.RULES, *trade.RULES)
    wanted = {f"risk gate: {rule.__name__.replace('_', ' ')}" for rule in rules} - {ANY_BREAKER}
    wanted |= {f"risk gate: breaker {code.value}" for code in BreakerCode}
    wanted |= {f"breaker opens: {code.value}" for code in BreakerCode}
    assert wanted - {guard.name for guard in GUARDS} == set()


@pytest.mark.parametrize(
    ("claim", "wrong"),
    [
        ("not allowed(4)", ""),
        ("allowed(2)", "nothing notices its absence"),
        ("allowed(4)", "its test does not pass with it in place (pytest: 1)"),
    ],
)
def test_the_prover_tells_a_guard_from_a_decoration(claim: str, wrong: str, tmp_path: Path) -> None:
    """Taken out of a copy: the test that is named must fail then, and only then."""
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "rule.py").write_text(SOURCE)
    (tmp_path / "test_rule.py").write_text(TEST.format(claim))
    guard = Guard("size", "bot/rule.py", "if size > 3:", "test_rule.py::test_rule", "if False:")
    assert prove(guard, tmp_path) == wrong
    assert (tmp_path / "bot" / "rule.py").read_text() == SOURCE
