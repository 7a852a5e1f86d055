"""Measurements and full-size acceptance runs, started by hand: python -m benchmarks.<name>."""
