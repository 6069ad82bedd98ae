"""The machine that figures are measured on, without which they mean nothing."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

from serving.core.cpus import available_cores

PACKAGES: Final = ("torch", "onnxruntime", "numpy", "opencv-python-headless", "fastapi", "uvicorn")
CPUINFO: Final = Path("/proc/cpuinfo")
INT8_INSTRUCTIONS: Final = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""Instructions that make 8-bit multiplications faster than float32's, by Linux's names for them."""


def facts(threads: int) -> dict[str, str | int | float]:
    """Return the processor, its load before anything runs, and the versions of the packages measured."""
    cpuinfo = _cpuinfo()
    flags = set(cpuinfo.get("flags", cpuinfo.get("Features", "")).split())
    return {
        "processor": cpuinfo.get("model name") or platform.processor() or platform.machine(),
        "cores": available_cores(),
        "threads": threads,
        "int8 instructions": " ".join(name for name in INT8_INSTRUCTIONS if name in flags) or "none known",
        "memory (GiB)": round(psutil.virtual_memory().total / 2**30, 1),
        "load before": round(psutil.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def to_markdown(machine: dict[str, str | int | float]) -> str:
    """Return the facts as one paragraph."""
    return ", ".join(f"{name} {value}" for name, value in machine.items())


def _cpuinfo() -> dict[str, str]:
    """Return Linux's description of the first processor; nothing on other systems."""
    if not CPUINFO.exists():
        return {}
    first = CPUINFO.read_text().split("\n\n")[0]
    lines = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}
