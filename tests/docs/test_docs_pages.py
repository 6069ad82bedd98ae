"""Links, settings and versions in the documentation."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from engines import ROOT
from pages import PAGES, name

from serving.http.settings import Settings

READMES = [
    *PAGES,
    ROOT / "models/README.md",
    ROOT / "clients/python/README.md",
    ROOT / "clients/web/README.md",
]


def prose(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", READMES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) < 1500


def test_every_setting_of_the_http_server_is_documented() -> None:
    operations = (ROOT / "docs/operations.md").read_text()
    for field in Settings.model_fields:
        assert f"`INPAINT_{field.upper()}`" in operations
        assert field == "api_key" or f"`--{field.replace('_', '-')}`" in operations


def test_every_setting_of_the_proxy_is_documented() -> None:
    operations = (ROOT / "docs/operations.md").read_text()
    for setting in re.findall(r"\$\{(PROXY_\w+):=", (ROOT / "serving/nginx/start.sh").read_text()):
        assert f"`{setting}`" in operations


def test_every_flag_of_the_torchserve_start_is_documented() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving.torchserve.start", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    operations = (ROOT / "docs/operations.md").read_text()
    for flag in set(re.findall(r"^  (--[\w-]+)", done.stdout, re.MULTILINE)):
        assert f"`{flag}`" in operations


def test_server_client_and_changelog_agree_on_the_version_and_the_licence() -> None:
    projects = [
        tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
        for folder in ("", "clients/python")
    ]
    assert {project["license"] for project in projects} == {"Apache-2.0"}
    packages = ("serving", "training", "export", "clients/python/src/inpaint_client")
    files = ["LICENSE", "pyproject.toml", "clients/python/pyproject.toml"]
    files += [f"{package}/__init__.py" for package in packages]
    for file in files:
        assert "SPDX-License-Identifier: Apache-2.0\n" in (ROOT / file).read_text()
    (version,) = {project["version"] for project in projects}
    latest = re.search(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert latest
    assert latest[1] == version


def test_the_workflow_follows_its_schema() -> None:
    command = [
        str(Path(sys.executable).with_name("check-jsonschema")),
        "--builtin-schema",
        "vendor.github-workflows",
    ]
    done = subprocess.run([*command, ROOT / ".github/workflows/ci.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
