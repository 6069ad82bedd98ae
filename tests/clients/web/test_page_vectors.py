"""The constants and test vectors that the page's on-device code shares with the server."""

import importlib.util
import json

from engines import ROOT


def test_constants_and_vectors_are_current() -> None:
    file = ROOT / "clients" / "web" / "scripts" / "local.py"
    spec = importlib.util.spec_from_file_location("local_vectors", file)
    assert spec is not None
    assert spec.loader is not None
    local = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(local)
    assert json.loads(local.CONSTANTS.read_text()) == local.constants(), f"run {file}"
    assert json.loads(local.VECTORS.read_text()) == local.vectors(), f"run {file}"
