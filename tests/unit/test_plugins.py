"""Plug-ins: found by file name, loaded when asked for, misspelt names answered."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bot.domain.errors import ConfigError
from bot.domain.types import Regime, Side
from bot.plugins import BOTH, StrategySpec, load, load_strategies, names


def test_a_file_name_is_the_id() -> None:
    """Every file of the package but the private ones, sorted."""
    found = names("strategies")
    assert found == tuple(sorted(found))
    assert {"breakout", "rsi_mean_reversion", "scalper", "sma_trend"} <= set(found)


def test_naming_plug_ins_imports_none_of_them() -> None:
    """What is not enabled costs nothing and can break nothing."""
    code = (
        "import sys\nfrom bot.plugins import names\n"
        "assert names('strategies')\n"
        "assert not [m for m in sys.modules if m.startswith('strategies.')]\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert run.returncode == 0, run.stderr.decode()


def test_a_bare_name_enables_every_variant() -> None:
    """In the order of the file; "name.variant" enables one; each once, in the order asked for."""
    all_three = [rule.id for rule in load_strategies(["rsi_mean_reversion"], {})]
    assert all_three == [f"rsi_mean_reversion.{v}" for v in ("standard", "tight", "loose")]
    wished = ["scalper", "rsi_mean_reversion.tight", "scalper.standard"]
    assert [rule.id for rule in load_strategies(wished, {})] == [
        "scalper.standard",
        "rsi_mean_reversion.tight",
    ]


def test_variants_have_their_own_regimes() -> None:
    """tight also trades volatile markets; a breakout only goes along a trend."""
    tight, loose, breakout = load_strategies(
        ["rsi_mean_reversion.tight", "rsi_mean_reversion.loose", "breakout"], {}
    )
    assert tight.sides(Regime.VOLATILE) == BOTH
    assert loose.sides(Regime.VOLATILE) == ()
    assert breakout.sides(Regime.TRENDING_UP) == (Side.LONG,)
    assert breakout.sides(Regime.TRENDING_DOWN) == (Side.SHORT,)


def test_overrides_replace_parameters_of_one_variant() -> None:
    """A whole number will do for a float; the warm-up follows the parameters."""
    plain, tuned = (
        load_strategies(["sma_trend.slow"], overrides)[0]
        for overrides in ({}, {"sma_trend.slow": {"slow": 350, "stop_atr": 3}})
    )
    assert tuned.params != plain.params
    assert getattr(tuned.params, "stop_atr") == 3.0  # noqa: B009 - params is any dataclass
    assert tuned.warm_up > plain.warm_up


@pytest.mark.parametrize(
    ("enabled", "overrides", "said"),
    [
        (["scalpr"], {}, "strategies: there is no 'scalpr'; did you mean 'scalper'?"),
        (["rsi_mean_reversion.tigth"], {}, "did you mean 'tight'?"),
        (["scalper"], {"scalper.standard": {"brust": 2.0}}, "did you mean 'burst'?"),
        (["scalper"], {"scalper.standard": {"burst": "2"}}, "burst: expected float, found '2'"),
        (["scalper"], {"scalper.standard": {"move_bars": 2.5}}, "move_bars: expected int"),
        (["scalper"], {"scalper.standard": {"move_bars": True}}, "move_bars: expected int"),
        (["scalper"], {"scalper.standard": {"burst": -1.0}}, "burst and stop_atr must be positive"),
        (["scalper"], {"scalpr.standard": {}}, "did you mean 'scalper'?"),
        (["scalper"], {"sma_trend.fats": {}}, "did you mean 'fast'?"),
        (["scalper"], {"scalper": {}}, "[strategies.scalper] there is no ''"),
    ],
)
def test_a_wrong_name_or_value_is_a_config_error(
    enabled: list[str], overrides: dict[str, dict[str, object]], said: str
) -> None:
    """It says what was found, what was probably meant, and what there is."""
    with pytest.raises(ConfigError) as caught:
        load_strategies(enabled, overrides)
    assert said in str(caught.value)


def test_every_problem_is_told_at_once() -> None:
    """Mending one to meet the next wastes a restart."""
    with pytest.raises(ConfigError) as caught:
        load_strategies(
            ["scalpr", "brekout", "scalper"], {"scalper.standard": {"x": 1, "burst": ""}}
        )
    assert len(caught.value.problems) == 4


def test_overrides_of_a_strategy_that_is_off_are_kept_quietly() -> None:
    """Switching a strategy off does not ask for its table to be deleted."""
    (only,) = load_strategies(["scalper"], {"sma_trend.fast": {"fast": 12}})
    assert only.id == "scalper.standard"


def test_an_unknown_plug_in_names_the_package() -> None:
    """`load` refuses before importing anything."""
    with pytest.raises(ConfigError, match="strategies: there is no 'os'"):
        load("strategies", "os")


def test_a_spec_must_give_regimes_for_each_variant() -> None:
    """A variant without regimes would never speak."""
    with pytest.raises(ValueError, match="must name the same variants"):
        StrategySpec(
            signals=lambda bars, params: load_strategies(["scalper"], {})[0].signals(bars),
            variants={"standard": None, "other": None},
            regimes={"standard": {}},
            warm_up=lambda params: 1,
            why="never",
        )
