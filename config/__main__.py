"""`python -m config --write-env-example`: make `.env.example` anew after a change of settings."""

from __future__ import annotations

import sys
from pathlib import Path

from config.example import env_example

TARGET = Path(__file__).resolve().parents[1] / ".env.example"


def main(argv: list[str]) -> int:
    """Write the file, or print it when not asked to write."""
    if argv == ["--write-env-example"]:
        TARGET.write_text(env_example(), encoding="utf-8")
        return 0
    if argv:
        print("usage: python -m config [--write-env-example]", file=sys.stderr)
        return 2
    print(env_example(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
