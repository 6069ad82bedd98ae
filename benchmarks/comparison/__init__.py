"""The project compared with what a user would use instead: `python -m benchmarks.comparison`."""
