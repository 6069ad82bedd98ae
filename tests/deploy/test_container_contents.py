"""What is in the images, and what is not."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from engines import ROOT
from images import BASE, USER, Containers

_MEGABYTE = 1_000_000

# Run as root inside an image: prints the commands and files that no image may add to its base image.
_INTRUDERS = r"""
for command in gcc g++ cc make ld node npm git curl wget; do command -v $command; done
find / -xdev \( -name proc -o -name sys \) -prune -o \( \
    -name '*.safetensors' -o -name '.git' -o -name '.env*' -o -name '*.pem.key' -o -name 'id_rsa*' \
    -o -name 'node_modules' -o -name '.npmrc' -o -name 'img_align_celeba*' -o -path '/root/.cache/*' \
    -o -path '/app/tests' -o -path '/app/training' -o -path '/app/export' -o -path '/app/benchmarks' \
    -o -name '*.deb' -o -name '*.whl' -o -path '/var/lib/apt/lists/*_Packages' \) ! -empty -print
"""


def added(image: str, engine_of_containers: Containers) -> float:
    """How much larger an image is than its base, in MB."""
    base, whole = (engine_of_containers.inspect(name)["Size"] for name in (BASE, image))
    return float(whole - base) / _MEGABYTE


def test_image_has_nothing_that_serving_does_not_need(image: str, engine_of_containers: Containers) -> None:
    found, in_base = (
        set(
            engine_of_containers.run(
                name, "sh", "-c", _INTRUDERS, options=("--user", "0")
            ).stdout.splitlines()
        )
        for name in (image, BASE)
    )
    assert found - in_base == set()


def test_no_user_but_root_can_write_outside_of_tmp(image: str, engine_of_containers: Containers) -> None:
    writable = (
        "find / -xdev -writable -not -type l -not -path '/proc/*' -not -path '/sys/*' -not -path '/dev/*'"
    )
    found = engine_of_containers.run(image, "sh", "-c", writable).stdout.split()
    assert set(found) <= {"/tmp", "/var/tmp", "/run/lock", "/var/cache/proxy"}


def test_image_runs_without_root_and_describes_itself(image: str, engine_of_containers: Containers) -> None:
    config = engine_of_containers.inspect(image)["Config"]
    assert config["User"] == f"{USER}:{USER}"
    assert engine_of_containers.run(image, "id", "-u").stdout.strip() == str(USER)
    assert config["Labels"]["org.opencontainers.image.title"].startswith("Inpainting")
    assert config["Labels"]["org.opencontainers.image.description"]
    assert "healthcheck.py" in " ".join(engine_of_containers.health_check(image))
    assert not [
        value for value in config["Env"] if re.search("key|token|secret|password", value, re.IGNORECASE)
    ]


def test_onnx_has_no_torch_and_is_small(onnx_image: str, engine_of_containers: Containers) -> None:
    script = (
        "import importlib.util as u; print([n for n in ('torch', 'ts', 'onnx', 'pip') if u.find_spec(n)])"
    )
    assert engine_of_containers.run(onnx_image, "python", "-c", script).stdout.strip() == "[]"
    assert added(onnx_image, engine_of_containers) < 450


def test_torchserve_has_no_cuda_where_the_cpu_build_is_available(
    torchserve_image: str, engine_of_containers: Containers
) -> None:
    version = engine_of_containers.run(
        torchserve_image, "python", "-c", "import torch; print(torch.__version__)"
    )
    if "+cpu" not in version.stdout:
        pytest.skip(f"torch {version.stdout.strip()} was found here, which is not the CPU-only build")
    assert added(torchserve_image, engine_of_containers) < 1900


def test_the_build_context_has_only_what_an_image_needs(
    engine_of_containers: Containers, tmp_path: Path
) -> None:
    """The build context, listed by a build that copies all of it."""
    recipe = tmp_path / "Dockerfile"
    recipe.write_text(f"FROM {BASE}\nCOPY . /context\n")
    name = "inpaint-test:context"
    build = [*engine_of_containers.build, "--file", str(recipe), "--tag", name, str(ROOT)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    files = engine_of_containers.run(
        engine_of_containers.local + name, "sh", "-c", "cd /context && find . -type f"
    ).stdout.split()
    engine_of_containers("image", "rm", engine_of_containers.local + name)
    tops = {
        *("clients/web", "constraints.txt", "export", "models/inpaint.onnx", "serving"),
        *("models/inpaint-int8.onnx", "models/marks/marks.onnx"),
        *("deploy/healthcheck.py", "deploy/requirements", "training/__init__.py", "training/files.py"),
    }
    assert {top for file in files for top in tops if file.startswith(f"./{top}")} == tops
    assert not [file for file in files if not file.startswith(tuple(f"./{top}" for top in tops))]
    unwanted = ("node_modules", "__pycache__", "/web/build/", "/web/tests/", ".safetensors", "/.git", "/.env")
    assert not [file for file in files for part in unwanted if part in file]


@pytest.mark.parametrize("name", ["onnx", "onnx-gpu", "torchserve", "torchserve-gpu"])
def test_requirements_have_the_tested_versions_and_hashes(name: str) -> None:
    """`make requirements` writes them."""
    lines = (ROOT / "deploy" / "requirements" / f"{name}.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lines, re.MULTILINE))
    tested = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    tested = {re.sub(r"[_.]", "-", package).lower(): version for package, version in tested.items()}
    untested = {package for package, version in pins.items() if tested.get(package) != version}
    # GPU packages cannot be installed beside the tests' packages, and have versions of their own.
    expected = {package for package in pins if package.startswith("nvidia-") or package == "onnxruntime-gpu"}
    assert untested - {"setuptools", "wheel"} == expected
    assert bool(expected) is name.endswith("-gpu")
    for entry in re.split(r"\n(?=[a-z])", lines.partition("# WARNING")[0])[1:]:
        assert "--hash=sha256:" in entry


def test_requirements_are_those_of_the_project() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, parts in (("onnx", ("http", "cpu")), ("torchserve", ("ts", "cpu"))):
        lines = (ROOT / "deploy" / "requirements" / f"{name}.txt").read_text()
        for requirement in (text for part in parts for text in extras[part]):
            package = re.split(r"[\[><=]", requirement)[0]
            assert package == "torch" or f"\n{package}==" in lines, f"{package}: make requirements"
