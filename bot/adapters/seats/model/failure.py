"""The ways in which asking a model fails, as one exception with what the caller must know.

Owns the distinction; knows neither the wire nor how often one tries again.
"""

from __future__ import annotations

from bot.domain.types import AbstentionKind, Attempt
from bot.domain.untrusted import clean


class ModelFailure(Exception):
    """An attempt that gave no answer.

    `again`: another attempt may help. `unknown`: the request may have been worked on and billed
    although nothing came back. `healthy`: the endpoint works, the answer is just none of use.
    `detail` may repeat an endpoint's own words: it is kept as one line that every table takes.
    """

    def __init__(
        self,
        kind: AbstentionKind,
        detail: str,
        *,
        again: bool = False,
        unknown: bool = False,
        healthy: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        self.kind = kind
        self.detail = clean(detail)
        super().__init__(f"{kind.value}: {self.detail}")
        self.again = again
        self.unknown = unknown
        self.healthy = healthy
        self.retry_after_s = retry_after_s
        self.attempt: Attempt | None = None  # as it was booked
