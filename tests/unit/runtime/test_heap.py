"""Free memory goes back to the system."""

from __future__ import annotations

from bot.runtime.heap import Heap


def test_a_step_asks_for_everything_that_is_free() -> None:
    """With a pad of 0: nothing is held back."""
    asked: list[int] = []

    def trim(pad: int) -> int:
        asked.append(pad)
        return 1

    Heap(trim).step()
    assert asked == [0]


def test_the_call_of_this_system_can_be_made() -> None:
    """Wherever the tests run: with glibc it is made, elsewhere left out, and neither fails."""
    Heap().step()
