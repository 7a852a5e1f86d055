"""The product's source as syntax trees, and what to look for in them.

Knows no rule: those are in test_architecture.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ("main.py", "health_server.py", "setup_database.py")
PRODUCT = ("bot", "config", "strategies")

CLOCK_READS = {
    ("time", name)
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
} | {("time", "sleep"), ("time", "localtime"), ("time", "gmtime")}
IN_ORDER = ("list", "tuple", "enumerate", "zip", "map", "next", "iter")
NEVER_CALLED = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
}


@cache
def sources() -> dict[str, ast.Module]:
    """Every Python file of the product, by path from the root."""
    files = [ROOT / name for name in SCRIPTS if (ROOT / name).is_file()]
    files += [file for folder in PRODUCT for file in sorted((ROOT / folder).rglob("*.py"))]
    return {
        file.relative_to(ROOT).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
        for file in files
    }


def below(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    return ((name, tree) for name, tree in sources().items() if name.startswith(folders))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, also inside functions; relative ones do not exist here."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "."


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str | None, str]]:
    """(call, what stands before the last dot, the called name)."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            yield node, None, node.func.id
        elif isinstance(node.func, ast.Attribute):
            owner = node.func.value
            last = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            yield node, last, node.func.attr


def walked(tree: ast.AST) -> Iterator[ast.expr]:
    """Expressions whose items are taken in order."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            yield node.iter
        elif isinstance(node, ast.Starred):
            yield node.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in IN_ORDER:
            yield from node.args


def is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr | ast.Sub):
        return is_set(node.left) or is_set(node.right)
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("set", "frozenset")
    )


def clock_reads(tree: ast.AST) -> Iterator[int]:
    bare = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for alias in node.names
        if ("time", alias.name) in CLOCK_READS
    }
    for call, owner, called in calls(tree):
        if (owner, called) in CLOCK_READS | NEVER_CALLED or (owner is None and called in bare):
            yield call.lineno


def asks_for_the_mode(node: ast.AST) -> bool:
    """`settings.mode`, `"MODE"`, or a comparison of anything called mode with a world's name."""
    if isinstance(node, ast.Constant):
        return node.value == "MODE"
    if isinstance(node, ast.Compare):
        worlds = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)} & {
            "demo",
            "paper",
            "live",
            "backtest",
        }
        return bool(worlds) and "mode" in ast.unparse(node)
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "mode"
        and ast.unparse(node.value).endswith(("settings", "general"))
    )


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Whether it catches everything and keeps it; cleaning up and raising again is fine."""
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False
    if handler.type is None:
        return True
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
    return bool(names & {"Exception", "BaseException"})


def swallows(handler: ast.ExceptHandler) -> bool:
    """Whether an error ends in a lone pass; a private exception is a way of leaving."""
    private = handler.type is not None and ast.unparse(handler.type).startswith("_")
    return isinstance(handler.body[0], ast.Pass) and not private
