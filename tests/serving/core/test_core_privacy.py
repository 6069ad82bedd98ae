"""ONNX Runtime reports nothing to its maker."""

import os
import subprocess
import sys
from pathlib import Path

from engines import MODEL, ROOT


def test_onnx_runtime_writes_no_telemetry(tmp_path: Path) -> None:
    """If it reports, it first writes a device identifier, and what it will send, to the user's cache."""
    script = (
        f"from pathlib import Path; from serving.core.runtime import Runtime; Runtime(Path({str(MODEL)!r}))"
    )
    # ONNX Runtime reports nothing anyway if it takes its host for a CI machine.
    own = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={**own, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []
