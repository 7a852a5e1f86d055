"""One file, one strategy: pure functions over columns of bars; see docs/strategies.md."""
