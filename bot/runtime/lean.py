"""Owns how a library is imported without the parts that a daemon never calls.

Refuses to know which those are: whoever imports the library names them, and says why.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

from pydantic import BaseModel


@contextmanager
def missing(*names: str) -> Iterator[None]:
    """Import as if these were not installed; for what a library tries and does without.

    A name that is imported already stays as it is. Raises nothing of its own.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: "not found"
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


@contextmanager
def left_out(*names: str) -> Iterator[None]:
    """Import with stand-ins for these modules and all below them.

    For what a library imports itself, but only to offer it. Every name is found in a stand-in;
    calling one raises RuntimeError. What the block imported keeps them, later imports get the
    real modules. A name that is imported already stays as it is.
    """
    finder = _StandIns(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in finder.made:
            del sys.modules[name]


@contextmanager
def built_when_used() -> Iterator[None]:
    """Import with pydantic's models built when one of them is first used, not when it is read."""
    config = BaseModel.model_config
    config["defer_build"] = True
    try:
        yield
    finally:
        del config["defer_build"]


class _StandIns(MetaPathFinder, Loader):
    """Finds the named modules before anybody else does, and makes them of nothing."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.made: list[str] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not any(fullname == name or fullname.startswith(f"{name}.") for name in self._names):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        self.made.append(spec.name)
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


class _StandIn(ModuleType):
    """Has every public name: a class, so that it can be a base or an annotation as well."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        whole = f"{self.__name__}.{name}"

        def refuse(*_: object, **__: object) -> NoReturn:
            raise RuntimeError(f"{whole} was left out of this process: see bot.runtime.lean")

        return type(name, (), {"__module__": self.__name__, "__new__": refuse})
