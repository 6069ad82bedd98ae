"""The images, built from the Dockerfile and run as an operator is advised to run them.

Docker builds and runs them. Where there is no Docker, the environment variable CONTAINER_STAND_IN can name a script
with the commands `base`, which makes the base images, and `build`, which takes the options of `buildah bud`. Podman
then runs the images.
"""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import needs
import pytest
from engines import ROOT, Engine, free_port, running

BASE = "python:3.11-slim-bookworm"
USER = 10001

# No rights but those needed, and nowhere to write but a folder in memory.
HARDENED = [
    *("--read-only", "--tmpfs", "/tmp:rw,exec,nosuid,nodev,size=1g,mode=1777"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--memory", "4g", "--pids-limit", "512"),
]


@dataclass(frozen=True)
class Containers:
    """What builds and runs images.

    Attributes:
        build: the command that builds, up to its options.
        command: the command for everything else.
        limits: options of `run` that this host needs.
        local: the prefix of the names of images that were built here.
        has_torch_for_cpus: whether a build finds torch without CUDA.
    """

    build: list[str]
    command: list[str]
    limits: list[str]
    local: str
    has_torch_for_cpus: bool = True

    def __call__(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command of the container engine."""
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False)
        assert not (check and done.returncode), done.stderr
        return done

    def image(self, target: str) -> str:
        """Build a target of the Dockerfile, unless nothing has changed, and return the image's name."""
        if target == "torchserve" and not self.has_torch_for_cpus:
            pytest.skip(
                "torch would come with gigabytes of CUDA: TORCH_INDEX names the package index for CPUs"
            )
        name = f"inpaint-test:{target}"
        done = subprocess.run(
            [*self.build, "--target", target, "--tag", name, str(ROOT)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"The image {target} cannot be built:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            )
        return self.local + name

    def inspect(self, image: str) -> dict[str, Any]:
        """An image's details."""
        return dict(json.loads(self("image", "inspect", image).stdout)[0])

    def run(
        self, image: str, *command: str, options: tuple[str, ...] = ()
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in an image, in place of its own."""
        entrypoint = ("--entrypoint", command[0])
        return self("run", "--rm", *self.limits, *entrypoint, *options, image, *command[1:], check=False)

    def health_check(self, image: str) -> list[str]:
        """The command of an image's health check."""
        facts = self.inspect(image)
        # Docker and podman have it in different places.
        check = facts["Config"].get("Healthcheck") or facts["Healthcheck"]
        kind, *command = check["Test"]
        return ["sh", "-c", *command] if kind == "CMD-SHELL" else command

    def healthy(self, container: str, image: str) -> bool:
        """Ask a running container as Docker does, by the check of its image."""
        return self("exec", container, *self.health_check(image), check=False).returncode == 0

    @contextmanager
    def detached(self, image: str, *options: str) -> Iterator[str]:
        """Run an image as it is, in the background. Yield the container's name."""
        name = f"inpaint-test-{secrets.token_hex(4)}"
        self("run", "--detach", "--name", name, *HARDENED, *self.limits, *options, image)
        try:
            yield name
        finally:
            self("rm", "--force", "--volumes", name)

    @contextmanager
    def engine(
        self, name: str, image: str, folder: Path, *options: str, arguments: tuple[str, ...] = ()
    ) -> Iterator[Engine]:
        """Run an image's server on a free port; `name` is "onnx" or "torchserve"."""
        port = free_port(following=2)
        if name == "onnx":
            metrics, options = port, (*options, "--env", f"INPAINT_PORT={port}")
        else:
            metrics, arguments = port + 2, ("--port", str(port), *arguments)
        container = f"inpaint-test-{port}"
        command = [
            *self.command,
            "run",
            "--rm",
            "--name",
            container,
            "--network",
            "host",
            *HARDENED,
            *self.limits,
        ]
        with running(name, [*command, *options, image, *arguments], (port, metrics), folder) as engine:
            pid = int(self("inspect", "--format", "{{.State.Pid}}", container).stdout)
            yield replace(engine, pid=pid)


@cache
def containers() -> Containers:
    """What builds and runs images here; without it, the test is skipped."""
    if shutil.which("docker") and not subprocess.run(["docker", "info"], capture_output=True).returncode:
        index = os.environ.get("TORCH_INDEX", "")
        build = ["docker", "build", "--build-arg", f"PIP_EXTRA_INDEX_URL={index}"]
        return Containers(build, ["docker"], [], "", has_torch_for_cpus=bool(index))
    script = os.environ.get("CONTAINER_STAND_IN")
    if not script:
        pytest.skip(
            "Docker must be installed and running, or CONTAINER_STAND_IN must name a script in its place"
        )
    if os.getuid() != 0:
        pytest.skip("CONTAINER_STAND_IN, in place of Docker, needs root")
    needs.programs(
        buildah="buildah", podman="podman", runc="runc", conmon="conmon", debootstrap="debootstrap"
    )
    os.environ["STORAGE_DRIVER"] = "vfs"  # where the stand-in keeps its images
    stand_in = ["bash", script]
    podman = ["podman", "--runtime", "runc"]
    if subprocess.run([*podman, "image", "exists", f"docker.io/library/{BASE}"], check=False).returncode:
        subprocess.run([*stand_in, "base"], check=True, capture_output=True)
    # The stand-in's storage driver keeps a whole copy of every layer ever built.
    subprocess.run(
        [*podman, "image", "prune", "--force", "--filter", "until=24h"], check=True, capture_output=True
    )
    limits = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]  # none above this host's own
    build = [*stand_in, "build", "--format", "docker", "--layers"]
    return Containers(build, podman, limits, "localhost/")
