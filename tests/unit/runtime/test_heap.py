"""Free memory goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bot.runtime.heap import OWN_MAPPING, Heap, keep_small

# Frees a large block, which raises glibc's own bound, then keeps a small one above large ones.
TAKE_AND_GIVE_BACK = """
from bot.runtime.heap import keep_small
keep_small()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
bytearray(4_000_000)
before, held = resident(), []
large = [(bytearray(b"x" * 200_000), held.append(bytes(900 + n))) for n in range(100)]
del large
print(resident() - before)
"""


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


def test_large_blocks_get_mappings_and_threads_share_a_heap() -> None:
    asked: list[tuple[int, int]] = []

    def option(number: int, value: int) -> int:
        asked.append((number, value))
        return 1

    keep_small(option)
    assert asked == [(-3, OWN_MAPPING), (-8, 1)]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_what_lies_between_large_blocks_does_not_keep_them() -> None:
    """Else 4.5 MB of the 20 stay resident."""
    command = [sys.executable, "-c", TAKE_AND_GIVE_BACK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert int(done.stdout) < 1_000_000
