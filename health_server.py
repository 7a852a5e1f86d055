"""The page and the API alone, on the database: python health_server.py

Owns nothing but the way from settings to `app.run_health_server` and its exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bot.app.offline import run_health_server
from bot.domain.errors import AlreadyRunning, ConfigError
from config.settings import load


def main(argv: Sequence[str] = ()) -> int:
    """Run until stopped; 0 clean, 2 mend something first, 3 already running."""
    if argv:
        print(
            "keel: health_server.py takes no arguments; it reads .env and the environment: "
            "HTTP_PORT=8001 python health_server.py",
            file=sys.stderr,
        )
        return 2
    try:
        return run_health_server(load({}, os.environ, Path(".env")).settings)
    except ConfigError as error:
        print(*(f"keel: {line}" for line in error.problems), sep="\n", file=sys.stderr)
        return 2
    except AlreadyRunning as error:
        print(f"keel: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
