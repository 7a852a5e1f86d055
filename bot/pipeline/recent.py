"""Keys of what was done already, so that it is done once; the newest of them only.

Owns the bound; knows no fill and no payment.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

# The venue tells no more than an account's 10,000 newest fills (docs, "userFillsByTime"): what
# was forgotten here cannot be told again.
MOST_KEYS = 10_000


class RecentKeys(Generic[K]):
    """A set that forgets what came first when it is full."""

    def __init__(self, most: int = MOST_KEYS) -> None:
        self._most = most
        self._keys: dict[K, None] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[K]:
        """Oldest first."""
        return iter(self._keys)

    def __reversed__(self) -> Iterator[K]:
        return reversed(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: K) -> None:
        self._keys[key] = None
        if len(self._keys) > self._most:
            del self._keys[next(iter(self._keys))]

    def update(self, keys: Iterable[K]) -> None:
        for key in keys:
            self.add(key)

    def discard(self, key: K) -> None:
        self._keys.pop(key, None)
