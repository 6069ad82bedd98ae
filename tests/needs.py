"""What a test needs besides Python: if a program is missing, the test is skipped and says what to install."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Debian installs some servers outside an ordinary user's PATH.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

_NODE = (20, 19)


def programs(**packages: str) -> None:
    """Skip the test unless all these programs are installed. Each is given with its Debian package."""
    missing = {package for program, package in packages.items() if shutil.which(program, path=PATH) is None}
    if missing:
        names = " ".join(sorted(missing))
        pytest.skip(f"{names} must be installed (Debian: apt-get install {names})")


def java() -> None:
    """Skip the test unless there is a Java for TorchServe."""
    programs(java="openjdk-17-jre-headless")


def node() -> None:
    """Skip the test unless there is a Node.js that the web page's tools run on, with npm."""
    programs(node="nodejs", npm="npm")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    found = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if found < _NODE:
        pytest.skip(f"Node.js {_NODE[0]}.{_NODE[1]} or newer must be installed; found {version.strip()}")


def helm() -> str:
    """The path of Helm. Skip the test unless it is installed."""
    path = shutil.which("helm", path=os.pathsep.join([PATH, str(Path(sys.executable).parent)]))
    if path is None:
        pytest.skip(
            f"Helm must be installed: https://helm.sh, or python .ci/helm.py {Path(sys.executable).parent}"
        )
    return path
