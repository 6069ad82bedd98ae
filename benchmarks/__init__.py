"""Benchmarks behind the README's figures, `python -m benchmarks`, and its picture, `python -m benchmarks.example`."""
