"""Fault scripts: read strictly, one line a problem; chances follow the seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.domain.errors import ConfigError
from bot.simulator.__main__ import main
from bot.simulator.faults import NO_FAULTS, FaultKind, load_plan, plan_of
from bot.simulator.faults.kinds import WORDS

WRONG: list[tuple[object, str]] = [
    ([], "expected a table"),
    ({"fault": {}}, "expected a list"),
    ({"fault": [3]}, "fault 1: expected a table"),
    ({"seed": -1}, "seed"),
    ({"faults": []}, "did you mean fault"),
    ({"fault": [{"kind": "timeoutt"}]}, "did you mean timeout"),
    ({"fault": [{"kind": "timeout", "land": "later"}]}, "did you mean lands"),
    ({"fault": [{"kind": "timeout", "lands": "soon"}]}, "one of at_once, later, never"),
    ({"fault": [{"kind": "gateway", "status": 404}]}, "from 500 to 599"),
    ({"fault": [{"kind": "gateway", "executed": 1}]}, "true or false"),
    ({"fault": [{"kind": "reset", "rate": 1.5}]}, "from 0 to 1"),
    ({"fault": [{"kind": "reset", "times": 1.5}]}, "whole number"),
    ({"fault": [{"kind": "meta_drift", "size_decimals": 1}]}, "needs a coin"),
    ({"fault": [{"kind": "meta_drift", "coin": "ETH"}]}, "needs size_decimals"),
    ({"random": {"halt": 0.1}}, "cannot come by chance"),
    ({"random": {"reset": "often"}}, "rate"),
]


@pytest.mark.parametrize(("said", "line"), WRONG, ids=[line for _, line in WRONG])
def test_a_wrong_script_is_refused_with_one_line(said: object, line: str) -> None:
    """What is meant is never guessed."""
    with pytest.raises(ConfigError) as refusal:
        plan_of(said)
    (problem,) = refusal.value.problems
    assert line in problem and "\n" not in problem


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_can_be_written_down(kind: FaultKind) -> None:
    """With its kind alone, where nothing more is needed."""
    row = {"kind": kind.value, "coin": "ETH"}
    if kind is FaultKind.META_DRIFT:
        row |= {"max_leverage": 3}  # type: ignore[dict-item]
    (fault,) = plan_of({"fault": [row]}).faults
    assert fault.said.keys() == WORDS[kind].keys()


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    """Whichever an operator writes."""
    one, other = tmp_path / "f.toml", tmp_path / "f.json"
    one.write_text('seed = 7\n[[fault]]\nkind = "halt"\ncoin = "ETH"\n[random]\nreset = 0.1\n')
    fault = [{"kind": "halt", "coin": "ETH"}]
    other.write_text(json.dumps({"seed": 7, "fault": fault, "random": {"reset": 0.1}}))
    assert load_plan(one) == load_plan(other)
    assert plan_of({}) == NO_FAULTS


def test_the_simulator_ends_with_two_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is not there, and a coin that is not traded."""
    script = tmp_path / "f.json"
    common = ["--port", "0", "--ledger", str(tmp_path / "s.db"), "--faults", str(script)]
    assert main(common) == 2
    script.write_text(json.dumps({"fault": [{"kind": "halt", "coin": "NONE"}]}))
    assert main(common) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "cannot be read" in first and "'NONE' is not traded here" in second
