"""Keel's entry: command line -> settings -> command -> exit code."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from bot.cli.main import CRASH, main

if __name__ == "__main__":
    try:
        code = main(sys.argv[1:], os.environ, Path(".env"))
    except Exception:  # noqa: BLE001  the last line of main: one report, exit code 1
        traceback.print_exc()
        code = CRASH
    sys.exit(code)
