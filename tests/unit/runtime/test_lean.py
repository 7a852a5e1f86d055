"""Libraries without the parts that nobody calls."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from bot.runtime.lean import built_when_used, left_out, missing


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that offers a part of its own, and tries another one that is optional."""
    package = tmp_path / "keel_example"
    (package / "part").mkdir(parents=True)
    (package / "part" / "__init__.py").write_text("from keel_example.part.deep import Thing\n")
    (package / "part" / "deep.py").write_text("class Thing: pass\n")
    (package / "__init__.py").write_text(
        "from keel_example.part import Thing\n"
        "try:\n    import keel_extra\nexcept ImportError:\n    keel_extra = None\n"
    )
    (tmp_path / "keel_extra.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return "keel_example"


def forget() -> None:
    for name in [name for name in sys.modules if name.startswith("keel_e")]:
        del sys.modules[name]


def test_a_part_left_out_is_not_run_and_says_so_when_called(library: str) -> None:
    """Its names are found, its code never ran, and a use is an error with its name."""
    try:
        with left_out("keel_example.part"):
            package = importlib.import_module(library)
        assert "keel_example.part.deep" not in sys.modules
        with pytest.raises(RuntimeError, match=r"keel_example\.part\.Thing was left out"):
            package.Thing()
    finally:
        forget()


def test_later_imports_get_the_real_part(library: str) -> None:
    """Leaving out is for the one import, not for the process."""
    try:
        with left_out("keel_example.part"):
            importlib.import_module(library)
        part = importlib.import_module("keel_example.part")
        assert isinstance(part.Thing(), part.Thing)
    finally:
        forget()


def test_what_is_missing_is_tried_and_done_without(library: str) -> None:
    """The library takes its own way for "not installed"; afterwards it can be imported."""
    try:
        with missing("keel_extra"):
            package = importlib.import_module(library)
        assert package.keel_extra is None
        assert importlib.import_module("keel_extra") is not None
    finally:
        forget()


def test_what_is_imported_already_is_left_alone(library: str) -> None:
    """Taking a module away from those who use it would break them."""
    try:
        extra = importlib.import_module("keel_extra")
        with missing("keel_extra"):
            assert importlib.import_module("keel_extra") is extra
        assert sys.modules["keel_extra"] is extra
    finally:
        forget()


def test_models_are_built_when_they_are_used() -> None:
    """Those that are read within; and what they check is the same."""
    with built_when_used():

        class Late(BaseModel):
            number: int

    class Soon(BaseModel):
        number: int

    assert (Late.__pydantic_complete__, Soon.__pydantic_complete__) == (False, True)
    with pytest.raises(ValidationError):
        Late.model_validate({"number": "x"})
    assert Late(number=1).number == 1
    assert Late.__pydantic_complete__
