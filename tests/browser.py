"""A real browser without a window, for tests and for the screenshots of the documents.

Owns how it is found and started, and what it may do: loopback only, nothing in the background.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",  # as root in a container there is none
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def missing() -> str:
    """Why no browser can be had here; empty when one can."""
    if not any(map(shutil.which, PROGRAMS)):
        return "no chromium on this machine (apt-get install chromium)"
    if importlib.util.find_spec("playwright") is None:
        return "no playwright in this environment (it is in requirements-dev.lock)"
    return ""


@contextmanager
def browser() -> Iterator[Browser]:
    """A running browser; closed with everything it opened."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, PROGRAMS)))
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield running
        finally:
            running.close()
