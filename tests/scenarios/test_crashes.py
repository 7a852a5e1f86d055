"""A hundred crashes between two steps of the loop: nothing doubled, nothing naked, equal books."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.scenarios.crashes import Chain, cuts, run_chain

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


def test_a_seed_names_its_crashes() -> None:
    """So that one that fails can be had again."""
    assert cuts(7, 20) == cuts(7, 20) != cuts(8, 20)
    assert {cut.rows > 0 for cut in cuts(7, 20)} == {True, False}
