"""A hundred crashes under faults, between two steps of the loop: nothing doubled or naked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.scenarios.crashes import NAKED_LIMIT_S, Chain, cuts, run_chain

SEEDS = (1, 2, 3, 4)
CRASHES = 25
AT_ONCE = 2


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Chain, ...]:
    folder = tmp_path_factory.mktemp("crashes")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [pool.submit(run_chain, folder / str(seed), seed, CRASHES) for seed in SEEDS]
        return tuple(run.result() for run in runs)


def test_no_crash_leaves_a_trace_at_the_venue(chains: tuple[Chain, ...]) -> None:
    """One order an intent, no position without a stop for 10 s, books equal to 1e-6."""
    assert [chain.problems for chain in chains] == [()] * len(SEEDS)
    assert sum(chain.crashes for chain in chains) == len(SEEDS) * CRASHES


def test_the_crashes_met_orders_and_positions(chains: tuple[Chain, ...]) -> None:
    """Else they would have proven nothing."""
    assert sum(chain.entries for chain in chains) >= CRASHES
    assert sum(chain.holding for chain in chains) >= CRASHES
    assert sum(chain.closed for chain in chains) >= CRASHES


def test_positions_were_naked_and_not_for_long(chains: tuple[Chain, ...]) -> None:
    """Entries filled in part, and stops were refused: it is the repair that is shown."""
    assert sum(chain.naked for chain in chains) >= 3 * len(SEEDS)
    assert max(chain.longest_naked_s for chain in chains) <= NAKED_LIMIT_S


def test_a_crash_between_fill_and_stop_is_made_good_by_the_next_life(tmp_path: Path) -> None:
    """Twice just before the stop is sent; the life after that finds the position and places it."""
    chain = run_chain(tmp_path, seed=2, crashes=2, bare=True)
    assert chain.problems == ()
    assert chain.holding == 2
    assert chain.naked >= 1


def test_a_seed_names_its_crashes() -> None:
    """So that one that fails can be had again."""
    assert cuts(7, 20) == cuts(7, 20) != cuts(8, 20)
    assert {(cut.rows > 0, cut.bare) for cut in cuts(7, 20)} == {
        (True, False),
        (False, True),
        (False, False),
    }
