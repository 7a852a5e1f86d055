"""Real candles through the whole road: trades, equal books, a narrowing funnel, the same twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.books import closed_trades
from tests.daemon import Daemon
from tests.scenarios.candles import CandleRun, cut, judge, play

XRP = "XRP-PERP-5m-2021.csv.gz"
CUT_ROWS = 1_000
RUN_LIMIT_S = 120.0


@pytest.fixture(scope="module")
def xrp(shared_data: Path) -> Path:
    return shared_data / "candles" / XRP


@pytest.fixture(scope="module")
def xrp_run(xrp: Path, tmp_path_factory: pytest.TempPathFactory) -> CandleRun:
    return play(tmp_path_factory.mktemp("xrp"), xrp, limit_s=RUN_LIMIT_S)


def test_a_whole_file_is_traded_to_its_end(xrp_run: CandleRun) -> None:
    """Exit code 0, no ERROR record, five trades, books equal, no step larger than its former."""
    judge(xrp_run, least_trades=5)


def test_the_same_file_gives_the_same_trades(xrp: Path, xrp_run: CandleRun, tmp_path: Path) -> None:
    """Same seed, same file, empty folder: the same trades to the last digit."""
    assert play(tmp_path, xrp, limit_s=RUN_LIMIT_S).trades == xrp_run.trades


@pytest.mark.parametrize(
    "name", ["BTC-PERP-1m-2022-01a.csv.gz", "BTC-USD-5m-2023a.csv.gz"], ids=lambda n: n[:12]
)
def test_other_markets_and_bars_trade_too(name: str, shared_data: Path, tmp_path: Path) -> None:
    """Bars of a minute and a coin against USD: the first days of each file."""
    file = cut(shared_data / "candles" / name, CUT_ROWS, tmp_path)
    judge(play(tmp_path / "run", file, limit_s=RUN_LIMIT_S), least_trades=1)


@pytest.mark.parametrize("ending", ["SIGTERM", "kill -9"])
def test_a_run_that_was_cut_off_goes_on_to_the_end(
    ending: str, shared_data: Path, tmp_path: Path
) -> None:
    """Its world is not begun again: trades are added to those it had, and the books agree."""
    file = cut(shared_data / "candles" / XRP, CUT_ROWS, tmp_path)
    with Daemon(tmp_path / "run", "--candles", str(file), "--speed", "max") as daemon:
        daemon.healthy()
        daemon.until(lambda status: status["closed_trades"] >= 2, RUN_LIMIT_S, "two trades")
        if ending == "SIGTERM":
            assert daemon.terminate() == 0, daemon.output()
        else:
            daemon.kill()
        before = closed_trades(daemon.books)
    run = play(tmp_path / "run", file, limit_s=RUN_LIMIT_S)
    assert run.trades[: len(before)] == before
    judge(run, least_trades=len(before) + 1)


def test_a_world_at_its_end_starts_anew_with_both_books(shared_data: Path, tmp_path: Path) -> None:
    """Played again in the same folder the file gives the same trades, and the books agree."""
    file = cut(shared_data / "candles" / XRP, CUT_ROWS, tmp_path)
    first = play(tmp_path / "run", file, limit_s=RUN_LIMIT_S)
    again = play(tmp_path / "run", file, limit_s=RUN_LIMIT_S)
    judge(again, least_trades=1)
    assert again.trades == first.trades
