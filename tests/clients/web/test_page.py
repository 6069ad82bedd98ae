"""The web page's own tests: its modules in Vitest, and the page in Chromium with Playwright."""

import os
import shutil
import subprocess
import sys

import needs
import pytest
from engines import ROOT

PAGE = ROOT / "clients" / "web"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")

pytestmark = pytest.mark.browser


def run(script: str) -> None:
    """Run a script from package.json. pytest shows its output if it fails."""
    environment = {**os.environ, "PYTHON": sys.executable, "CI": "1"}
    done = subprocess.run(["npm", "--prefix", str(PAGE), "run", script], env=environment, check=False)
    assert done.returncode == 0, f"npm run {script} failed"


@pytest.fixture(scope="module", autouse=True)
def _built_page() -> None:
    needs.node()
    if not (PAGE / "build" / "index.html").is_file():
        pytest.skip("The web page must be built: make page")


def test_its_modules() -> None:
    run("test")


def test_the_page_in_a_browser() -> None:
    if "CHROMIUM" not in os.environ and not any(map(shutil.which, BROWSERS)):
        needs.programs(chromium="chromium")
    run("test:browser")
