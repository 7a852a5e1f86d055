"""Keel's entry: command line -> settings -> command -> exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bot.cli.main import crashed, main

if __name__ == "__main__":
    try:
        code = main(sys.argv[1:], os.environ, Path(".env"))
    except Exception as error:  # noqa: BLE001  the last line of main: one report, exit code 1
        code = crashed(error)
    sys.exit(code)
