"""The documents against the code: what they list is what there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from bot.adapters.store import REVISION
from bot.adapters.store.tables import metadata
from bot.cli.commands import COMMANDS
from bot.web.access import WebOptions
from bot.web.api import build_api
from tests.source_tree import ROOT
from tests.unit.web.conftest import TOKEN, FakeDaemon

README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
COMMANDS_PAGE = (ROOT / "docs/commands.md").read_text()
DEMO_ONLY = {"end_of_data"}  # of candle files; it ends the process, which is no crash


def calls_of(path: str, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def text_of(call: ast.Call) -> str:
    first = call.args[0]
    assert isinstance(first, ast.Constant)
    return str(first.value)


def told(text: str, heading: str) -> str:
    """The section below a heading."""
    rest = text.split(f"{heading}\n", 1)[1]
    return re.split(r"\n#+ ", rest, maxsplit=1)[0]


def test_the_services_are_listed_as_what_they_are() -> None:
    """Who decides whether a death ends the process reads it in docs/operations.md."""
    line = re.search(r"Critical services: (.*?)\. The others \((.*?)\)", OPERATIONS, re.DOTALL)
    assert line is not None
    critical, others = line.groups()
    for call in calls_of("bot/app/daemon.py", "Service"):
        (kind,) = [keyword.value for keyword in call.keywords if keyword.arg == "critical"]
        assert isinstance(kind, ast.Constant)
        name = text_of(call)
        if name in DEMO_ONLY:
            continue
        listed = critical if kind.value else others
        assert name.replace("_", " ") in listed.replace("_", " "), name


def test_the_schema_named_is_the_schema() -> None:
    """The samples of `db check` and `setup_database.py`, and the number of tables."""
    assert set(re.findall(r"schema (\d{4})", OPERATIONS)) == {REVISION}
    assert re.findall(r"checked: (\d+) tables", OPERATIONS) == [
        str(len(metadata.tables) + 1)
    ]  # and Alembic's own
    for table in metadata.tables:
        assert f"`{table}`" in OPERATIONS, table


def test_the_layers_of_the_pre_flight_are_listed() -> None:
    """docs/commands.md has a row for each layer that `main.py check` tries."""
    rows = told(COMMANDS_PAGE, "## `main.py check`: can it start, and can it ever trade?")
    first = [cell.strip() for cell in re.findall(r"^\| ([^|]+) \|", rows, re.MULTILINE)]
    listed = {name.strip() for cell in first for name in cell.split(",")}
    for path in sorted((ROOT / "bot/app").glob("*.py")):
        for call in calls_of(str(path.relative_to(ROOT)), "Line"):
            if call.args and isinstance(call.args[0], ast.Constant):
                assert text_of(call) in listed, f"{path.name}: {text_of(call)}"


def test_every_command_and_route_is_in_the_readme() -> None:
    """A newcomer finds all of them in two tables."""
    for name in COMMANDS:
        assert f"`{name}" in told(README, "## Commands"), name
        assert name in ARCHITECTURE, name
    routes = told(README, "## Routes")
    spelled = re.sub(r"\?[^`]*", "", routes)
    daemon = FakeDaemon()
    api = build_api(daemon, WebOptions(TOKEN), "0", daemon)
    for path in api.openapi()["paths"]:
        path = path.replace("{trace_id}", "{id}")
        assert f"`{path}`" in spelled, path


def test_the_newest_decisions_are_listed() -> None:
    """docs/adr/README.md names every decision, in order, and none is missing between."""
    files = sorted(path.name for path in (ROOT / "docs/adr").glob("0*.md"))
    listed = re.findall(r"\]\((0[^)]+)\)", (ROOT / "docs/adr/README.md").read_text())
    assert listed == files
    assert all(int(b[:4]) == int(a[:4]) + 1 for a, b in pairwise(files))
