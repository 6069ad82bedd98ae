"""`python -m benchmarks`: speed and memory on this machine, as Markdown and optionally as JSON."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks import inference, machine, server
from benchmarks.command import exit_status
from benchmarks.timing import to_markdown
from serving.core.cpus import available_cores
from serving.core.models import default_model
from serving.core.runtime import Runtime
from training.files import write_json
from training.weights import load_weights

LEAST_ROUNDS = 2
"""Percentiles need two values."""


def _measure(options: argparse.Namespace) -> None:
    load_weights(options.weights)  # a mistake shows now, not after minutes
    runtime = Runtime(options.model, threads=options.threads)
    facts = machine.facts(options.threads)
    full = inference.full_size(options.threads, options.rounds)
    shipped = inference.shipped(options.weights, options.threads, options.rounds)
    served = server.measure(options.model, runtime, options.threads, 3 * options.rounds)
    print(machine.to_markdown(facts))
    print("\nThe full-size network (width 64, random weights), one 178x178 picture:\n")
    print(to_markdown(full, [inference.LITERAL, inference.EAGER]))
    print(f"\n{options.weights}, one 178x178 picture:\n")
    print(to_markdown(shipped, [inference.EAGER]))
    print(f"\nThe ONNX server with {options.model}, one connection, one 178x178 picture:\n")
    print(server.to_markdown(served))
    if options.output:
        write_json(
            options.output,
            {
                "machine": facts,
                "full_size": [asdict(timing) for timing in full],
                "shipped": [asdict(timing) for timing in shipped],
                "server": asdict(served),
            },
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--weights", type=Path, default=Path("models/inpaint.safetensors"), help="the checkpoint"
    )
    parser.add_argument("--model", type=Path, default=default_model(), help="the model to serve")
    parser.add_argument(
        "--threads", type=int, default=available_cores(), help="CPU threads of each contestant"
    )
    parser.add_argument(
        "--rounds", type=int, default=30, help="how often each is timed; the server 3 times as often"
    )
    parser.add_argument("--output", type=Path, help="JSON file to write as well")
    return parser


def main(argv: list[str]) -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.rounds < LEAST_ROUNDS or options.threads < 1:
        parser.error(f"--rounds must be at least {LEAST_ROUNDS}, --threads at least 1")
    return exit_status(lambda: _measure(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
