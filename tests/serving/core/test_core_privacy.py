"""What runs here stays here."""

import os
import subprocess
import sys
from pathlib import Path

from engines import MODEL, ROOT


def test_onnx_runtime_keeps_no_record_for_its_maker(tmp_path: Path) -> None:
    """Where it reports, it first leaves an identifier of the device, and what it has to tell, in the user's cache."""
    script = (
        f"from pathlib import Path; from serving.core.runtime import Runtime; Runtime(Path({str(MODEL)!r}))"
    )
    # ONNX Runtime is silent by itself where it takes its host for a CI machine.
    own = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={**own, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []
