"""`python -m benchmarks`: speed and memory on this machine, as Markdown, and as JSON where asked."""

from __future__ import annotations

import argparse
import os
import platform
from dataclasses import asdict
from pathlib import Path

import onnxruntime
import torch

from benchmarks import inference, server
from benchmarks.timing import to_markdown
from training.files import write_json


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--weights", type=Path, default=Path("models/inpaint.safetensors"), help="the checkpoint"
    )
    parser.add_argument(
        "--model", type=Path, default=Path("models/inpaint.onnx"), help="what the server serves"
    )
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="of every contestant"
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--output", type=Path, help="a JSON file to write, too")
    options = parser.parse_args()
    machine = {
        "processor": _processor(),
        "threads": options.threads,
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
    full = inference.full_size(options.threads, options.rounds)
    shipped = inference.shipped(options.weights, options.threads, options.rounds)
    served = server.measure(options.model, options.threads, 3 * options.rounds)
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print("\nThe full-size network (width 64, random weights), one 178x178 picture:\n")
    print(to_markdown(full, inference.BASE))
    print(f"\n{options.weights}, one 178x178 picture:\n")
    print(to_markdown(shipped, inference.BASE))
    print(f"\nThe ONNX server with {options.model}, one connection, one 178x178 picture:\n")
    print(to_markdown(served.timings, server.BASE))
    print(
        f"\nready after {served.ready_seconds:.1f} s; resident memory {served.idle_mib:.0f} MiB when ready, "
        f"{served.loaded_mib:.0f} MiB after the requests"
    )
    if options.output:
        figures = {"machine": machine, "full_size": full, "shipped": shipped}
        document = {k: [asdict(t) for t in v] if isinstance(v, list) else v for k, v in figures.items()}
        write_json(options.output, {**document, "server": asdict(served)})


def _processor() -> str:
    """Return the processor's name as the kernel has it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
