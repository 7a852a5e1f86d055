"""`make bench`: every measurement in its order, or the one that is named.

Owns the list; each measurement prints its own figures.
"""

from __future__ import annotations

import sys

from benchmarks import acceptance

if __name__ == "__main__":
    # ARGS="seeds --only 3" measures one thing; without arguments all of it runs, about an hour.
    given = sys.argv[1:]
    rounds = [given] if given else [["seeds"], ["candles"], ["kills"]]
    sys.exit(max(acceptance.main(arguments) for arguments in rounds))
