"""Rules of the tree that imports cannot show: read from the source by `ast`, nothing is run.

What imports can show is in pyproject.toml, [tool.importlinter].
"""

from __future__ import annotations

import ast
import re

import pytest

from config.catalogue import SHIPPED
from config.settings import known
from tests.source_tree import (
    NEVER_CALLED,
    PRODUCT,
    ROOT,
    SCRIPTS,
    asks_for_the_mode,
    below,
    calls,
    clock_reads,
    imports,
    is_broad,
    is_set,
    sources,
    swallows,
    walked,
)

MAX_LINES, MAX_FUNCTION_LINES = 400, 60

# Borders where anything may come in and must not go further (DESIGN.md, "Errors"); why.
BROAD_EXCEPT = {
    "main.py": "the last line of main: one report, exit code 1",
    "bot/runtime/supervisor.py": "a service that dies must not take its siblings along unasked",
    "bot/pipeline/facts.py": "a listener of facts never stops the road",
    "bot/adapters/seats/model/seat.py": "a model's text is foreign: what reading raises abstains",
    "bot/adapters/seats/model/caller.py": "a response is foreign: what it raises is a failure",
    "bot/pipeline/council.py": "a seat of the council is foreign code: it abstains",
}

# Scripts at the top: their business, and nothing below it.
SCRIPT_IMPORTS = {
    "main.py": ("bot.cli",),
    "health_server.py": (
        "bot.app",
        "bot.cli",
        "bot.web",
        "bot.adapters.store",
        "bot.domain",
        "config",
    ),
    "setup_database.py": ("bot.app", "bot.cli", "bot.adapters.store", "bot.domain", "config"),
}

CLOCK_FILE = "bot/runtime/clock.py"
IMPURE = {
    "asyncio", "datetime", "io", "logging", "os", "pathlib", "random", "secrets", "socket",
    "sqlite3", "structlog", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
# datetime as arithmetic (a ms as text) is pure; reading the clock with it is refused above.
PURE_DATETIME = {"datetime"}

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "base"}


# --- the domain is pure ---------------------------------------------------------------


def test_the_domain_never_waits() -> None:
    """No coroutine in bot/domain and in strategies: what is pure needs no loop."""
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    found = [
        f"{name}:{node.lineno}"
        for name, tree in below("bot/domain/", "strategies/")
        for node in ast.walk(tree)
        if isinstance(node, waiting)
    ]
    assert found == []


def test_the_domain_imports_nothing_impure() -> None:
    """No clock, no I/O, no logging, no randomness; datetime for arithmetic only."""
    found = [
        f"{name}:{line} {module}"
        for name, tree in below("bot/domain/", "strategies/")
        for line, module in imports(tree)
        if module.split(".")[0] in IMPURE - PURE_DATETIME and not _hides_talib(name, module)
    ]
    assert found == []


def _hides_talib(name: str, module: str) -> bool:
    """indicators.py keeps pandas and polars from being imported along with talib (spec 05)."""
    return name == "bot/domain/indicators.py" and module in ("sys", "importlib")


def test_the_domain_draws_and_opens_nothing() -> None:
    """numpy brings a generator, builtins bring open and print."""
    found = [
        f"{name}:{call.lineno} {called}"
        for name, tree in below("bot/domain/", "strategies/")
        for call, owner, called in calls(tree)
        if owner == "random" or (owner is None and called in ("open", "print", "input"))
    ]
    assert found == []


def test_the_domain_does_not_walk_over_sets() -> None:
    """The order of a set of texts changes from run to run; a replay would differ."""
    found = [
        f"{name}:{place.lineno}"
        for name, tree in below("bot/domain/", "strategies/", "bot/pipeline/")
        for place in walked(tree)
        if is_set(place)
    ]
    assert found == []


# --- one place for each dangerous thing -----------------------------------------------


def test_talib_is_imported_in_one_module() -> None:
    """It drags pandas and polars along; one module keeps them away (96 MB against 30)."""
    found = {
        name
        for name, tree in sources().items()
        for _, module in imports(tree)
        if module.split(".")[0] == "talib"
    }
    assert found <= {"bot/domain/indicators.py"}


@pytest.mark.parametrize(
    ("value", "maker"), [("Intent", "bot/domain/sizing"), ("Cleared", "bot/domain/risk")]
)
def test_a_step_of_the_road_cannot_be_skipped(value: str, maker: str) -> None:
    """An Intent comes from sizing alone, a Cleared from risk alone."""
    found = [
        f"{name}:{call.lineno}"
        for name, tree in sources().items()
        for call, _, called in calls(tree)
        if called == value and not name.startswith((maker + ".py", maker + "/"))
    ]
    assert found == []


def test_plugins_are_loaded_by_app_alone() -> None:
    """What is configured is imported at start, in the composition root."""
    found = []
    for name, tree in below("bot/"):
        if name.startswith("bot/app") or name == "bot/plugins.py":
            continue
        direct = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "bot.plugins"
            for alias in node.names
            if alias.name == "load"
        }
        found += [
            f"{name}:{call.lineno}"
            for call, owner, called in calls(tree)
            if (owner is None and called in direct) or (owner == "plugins" and called == "load")
        ]
    assert found == []


def test_one_file_reads_a_clock() -> None:
    """Time is an argument everywhere else; demo, backtest and tests depend on it."""
    found = [
        f"{name}:{line}"
        for name, tree in sources().items()
        if name != CLOCK_FILE
        for line in clock_reads(tree)
    ]
    assert found == []


def test_nobody_reads_the_date_even_in_the_clock() -> None:
    """datetime.now stands nowhere: times are ms UTC, made by the clock."""
    found = [
        f"{name}:{call.lineno}"
        for name, tree in sources().items()
        for call, owner, called in calls(tree)
        if (owner, called) in NEVER_CALLED
    ]
    assert found == []


def test_only_main_reads_the_environment() -> None:
    """Everything else gets settings; pydantic-settings gets the layers handed over."""
    found = [
        f"{name}:{node.lineno}"
        for name, tree in sources().items()
        if name not in SCRIPTS
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in ("environ", "getenv")
        and not (name.startswith(("config/", "bot/cli/")) and isinstance(node, ast.Name))
    ]
    assert found == []


def test_the_mode_is_wiring() -> None:
    """demo, paper, live: chosen in app, never an `if` elsewhere."""
    found = [
        f"{name}:{node.lineno}"
        for name, tree in sources().items()
        if not name.startswith(("bot/app", "bot/cli/", "config/")) and name not in SCRIPTS
        for node in ast.walk(tree)
        if isinstance(node, ast.expr) and asks_for_the_mode(node)
    ]
    assert found == []


def test_every_setting_is_used() -> None:
    """A setting that nobody reads is a promise that nobody keeps."""
    if not (ROOT / "bot/app.py").is_file() and not (ROOT / "bot/app").is_dir():
        pytest.fail("bot/app is missing: nothing reads the settings")
    read = {
        node.attr
        for name, tree in sources().items()
        if name.startswith(("bot/app", "bot/cli/", "config/settings.py")) or name in SCRIPTS
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
    }
    # Four of each shipped model are read by the model's name (config/models.py).
    read |= {f"{part}_{name}" for name in SHIPPED for part in ("enable",)}
    read |= {f"{name}_{part}" for name in SHIPPED for part in ("api_key", "base_url", "model")}
    # Settled while loading: one turns into MODE, one chooses the layer, a real key in demo is
    # left out and said.
    settled = {"USE_PAPER_TRADING", "PROFILE", "HYPERLIQUID_API_KEY", "HYPERLIQUID_ACCOUNT"}
    unused = [name for name in known() if name.lower() not in read and name not in settled]
    assert unused == []


# --- borders and sizes ------------------------------------------------------------------


def test_broad_excepts_stand_only_at_the_borders() -> None:
    """Elsewhere an error has a type, or goes up."""
    found = [
        f"{name}:{node.lineno}"
        for name, tree in sources().items()
        if name not in BROAD_EXCEPT
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
    ]
    assert found == []


def test_nothing_is_left_for_later() -> None:
    """No NotImplementedError, and no error swallowed by a lone pass."""
    found = []
    for name, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and swallows(node):
                found.append(f"{name}:{node.lineno} except: pass")
            if isinstance(node, ast.Name) and node.id == "NotImplementedError":
                found.append(f"{name}:{node.lineno} NotImplementedError")
    assert found == []


def test_files_and_functions_stay_readable() -> None:
    """At most 400 lines a file, tests too, and 60 a function of the product."""
    long_files = [
        f"{file.relative_to(ROOT).as_posix()}: {count} lines"
        for folder in (*PRODUCT, "tests")
        for file in sorted((ROOT / folder).rglob("*.py"))
        if (count := len(file.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    ]
    long_functions = [
        f"{name}:{node.lineno} {node.name}: {size} lines"
        for name, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (size := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert long_files + long_functions == []


def test_names_say_what_a_module_owns() -> None:
    """utils, helpers, common, manager and base own nothing in particular."""
    found = [
        name
        for name in sources()
        if any(part.removesuffix(".py") in FORBIDDEN_NAMES for part in name.split("/"))
    ]
    assert found == []


def test_every_module_says_what_it_owns() -> None:
    """A docstring opens each file that has code in it."""
    found = [name for name, tree in sources().items() if tree.body and not ast.get_docstring(tree)]
    assert found == []


@pytest.mark.parametrize("script", SCRIPT_IMPORTS)
def test_the_scripts_at_the_top_stay_thin(script: str) -> None:
    """import-linter does not read single files; these three are read here."""
    tree = sources().get(script)
    assert tree is not None, f"{script} is missing"
    ours = re.compile(r"(bot|config|strategies)(\.|$)")
    found = [
        f"{script}:{line} {module}"
        for line, module in imports(tree)
        if ours.match(module) and not module.startswith(SCRIPT_IMPORTS[script])
    ]
    assert found == []
