"""What was folded once is known, for as long as it can be told again, and no longer."""

from __future__ import annotations

from bot.pipeline.recent import MOST_KEYS, RecentKeys


def test_the_oldest_key_goes_when_there_are_too_many() -> None:
    """The books of a process that runs for months hold a bounded number of keys."""
    keys: RecentKeys[int] = RecentKeys(most=3)
    keys.update([1, 2, 3, 4])
    assert list(keys) == [2, 3, 4]
    assert 1 not in keys


def test_a_key_that_is_told_again_takes_no_second_place() -> None:
    """The same fill told ten times must not push others out."""
    keys: RecentKeys[int] = RecentKeys(most=2)
    keys.update([1, 2, 2, 2])
    assert list(keys) == [1, 2]


def test_a_key_can_be_taken_back() -> None:
    """A fill that could not be folded yet is to be folded when it is told again."""
    keys: RecentKeys[int] = RecentKeys(most=2)
    keys.add(1)
    keys.discard(1)
    keys.discard(7)
    assert 1 not in keys
    assert len(keys) == 0


def test_as_many_are_kept_as_the_venue_can_tell_again() -> None:
    """Fewer, and a fill of the venue's whole history would be folded twice."""
    assert MOST_KEYS >= 10_000
