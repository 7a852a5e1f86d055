"""The error tree: what went wrong, and so what the caller must do next.

    KeelError
    |-- ConfigError        mend the configuration and start again (exit code 2)
    |-- AlreadyRunning     another Keel owns this folder or account (exit code 3)
    |-- TransientError     nothing happened; try again with back-off
    |-- VenueRejected      the venue said no; final for this order
    |-- AmbiguousOutcome   no answer: the order may exist; ask, never resend
    `-- InvariantBroken    our books cannot be trusted; halt entries, keep guarding positions

Refusals by our own gates are values (`reasons.Check`), never exceptions.
"""

from __future__ import annotations


class KeelError(Exception):
    """Base of every error that Keel raises on purpose."""


class ConfigError(KeelError):
    """The operator must mend something before the process can start."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Misasked(ConfigError):
    """A question about the records names what is not in them; another one can be answered."""


class AlreadyRunning(KeelError):
    """Another process holds the lock of this data folder or account."""


class TransientError(KeelError):
    """The request did not take effect and may be repeated after a pause."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class VenueRejected(KeelError):
    """The venue refused the command; `raw` keeps its own words."""

    def __init__(self, raw: str) -> None:
        super().__init__(raw)
        self.raw = raw


class AmbiguousOutcome(KeelError):
    """The venue did not answer: the command may or may not have taken effect."""


class InvariantBroken(KeelError):
    """Something that must always hold does not; entries halt, exits go on."""
