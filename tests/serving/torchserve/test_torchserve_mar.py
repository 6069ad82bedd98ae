"""The archive: what is in it, that it needs nothing else, and that it is written whole or not at all."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import replace
from pathlib import Path

import engines
import pytest
from other_graphs import LAMA_255, save_mean_filler

from export.errors import ArtifactError
from export.mar import build_mar
from serving.core.runtime import Runtime

# What the handler may import beside Python's own modules: all that a stock TorchServe host must have.
STOCK = {"PIL", "cv2", "numpy", "onnxruntime", "ts", "yaml"}

_USE_IT = """
import json, sys
sys.path[:0] = sys.argv[1:3]
import handler
from ts.context import Context, RequestProcessor

folder = sys.argv[1]
manifest = json.load(open(folder + "/MAR-INF/MANIFEST.json"))
context = Context("inpaint", folder, manifest, 1, None, "0.12.0", model_yaml_config={})
inpaint = handler.InpaintHandler()
inpaint.initialize(context)
context.request_processor = [RequestProcessor({"Content-Type": "multipart/form-data"})]
fields = {name: open(path, "rb").read() for name, path in zip(("image", "mask"), sys.argv[3:])}
answer = json.loads(inpaint.handle([fields], context)[0])
modules = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
print(json.dumps({"answer": answer, "modules": modules}))
"""


@pytest.fixture(scope="module")
def unpacked(mar: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(mar) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with links to only the packages that a stock host has: no torch, no fastapi, no checkout."""
    folder = tmp_path_factory.mktemp("stock")
    for place in sysconfig.get_path("purelib"), sysconfig.get_path("platlib"):
        for entry in Path(place).iterdir():
            # Wheels keep their shared libraries beside the package.
            package = {"pillow.libs": "PIL", "opencv_python_headless.libs": "cv2"}.get(
                entry.name, entry.name.removesuffix(".libs")
            )
            if package in STOCK and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    return folder


def test_holds_the_model_the_handler_the_config_and_no_web_framework(mar: Path) -> None:
    with zipfile.ZipFile(mar) as archive:
        names = set(archive.namelist())
        assert archive.read(engines.MODEL.name) == engines.MODEL.read_bytes()
    modules = {name for name in names if name.startswith("serving/")}
    assert names - modules == {"MAR-INF/MANIFEST.json", "handler.py", engines.MODEL.name, "model-config.yaml"}
    assert {"serving/__init__.py", "serving/core/pipeline.py", "serving/core/runtime.py"} <= modules
    assert all(name == "serving/__init__.py" or name.startswith("serving/core/") for name in modules)
    assert {name for name in modules if not name.endswith(".py")} == {
        "serving/core/graphs/lama.yaml",
        "serving/core/graphs/migan.yaml",
    }


def test_manifest_tells_the_models_own_version(unpacked: Path) -> None:
    model = json.loads((unpacked / "MAR-INF" / "MANIFEST.json").read_bytes())["model"]
    assert model == {
        "modelName": "inpaint",
        "modelVersion": Runtime(engines.MODEL).version,
        "serializedFile": engines.MODEL.name,
        "handler": "handler.py",
        "configFile": "model-config.yaml",
    }


def test_runs_where_only_the_stock_packages_are_installed(
    unpacked: Path, stock: Path, tmp_path: Path
) -> None:
    from sample_pictures import block, encode, encode_mask, face

    image, mask, script = tmp_path / "image.png", tmp_path / "mask.png", tmp_path / "use_it.py"
    image.write_bytes(encode(face()))
    mask.write_bytes(encode_mask(block(178, 178, 80, 80, 20)))
    script.write_text(_USE_IT)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), str(unpacked), str(stock), str(image), str(mask)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["answer"]["width"] == 178
    assert found["answer"]["model_version"] == Runtime(engines.MODEL).version
    ours = {
        name: file
        for name, file in found["modules"].items()
        if name.partition(".")[0] in ("serving", "handler")
    }
    assert {"handler", "serving.core.pipeline"} <= ours.keys()
    assert all(Path(file).is_relative_to(unpacked) for file in ours.values())
    files = {name.partition(".")[0] for name, file in found["modules"].items() if file}
    packages = files - sys.stdlib_module_names
    assert packages - {"__main__", "handler", "serving"} == STOCK


def test_the_same_model_makes_the_same_bytes(mar: Path, tmp_path: Path) -> None:
    again = build_mar(engines.MODEL, tmp_path / "new" / "folder")
    assert again.name == "inpaint.mar"
    assert again.read_bytes() == mar.read_bytes()
    assert list(again.parent.iterdir()) == [again]  # no scratch files


def test_a_described_model_is_packed_with_its_description_under_its_name(tmp_path: Path) -> None:
    signature = replace(LAMA_255, dims=(1, 128, 128))
    artifact = save_mean_filler(tmp_path / "lama_fp32.onnx", signature, "graph: lama")
    mar = build_mar(artifact, tmp_path / "store", "lama")
    assert mar == tmp_path / "store" / "lama.mar"
    with zipfile.ZipFile(mar) as archive:
        assert archive.read("lama_fp32.yaml") == b"graph: lama"
        model = json.loads(archive.read("MAR-INF/MANIFEST.json"))["model"]
    assert (model["modelName"], model["serializedFile"]) == ("lama", "lama_fp32.onnx")


@pytest.mark.parametrize("name", ["../lama", "", "my lama"])
def test_a_name_that_no_url_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="must be letters"):
        build_mar(engines.MODEL, tmp_path, name)


def test_leaves_other_files_of_the_temporary_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The archiver empties $TMPDIR/inpaint before it begins.
    precious = tmp_path / "temporary" / "inpaint" / "precious.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("mine")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    build_mar(engines.MODEL, tmp_path / "out")
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("content", [None, b"this is no model"], ids=["missing", "text"])
def test_no_model_no_archive_and_the_old_one_stays(content: bytes | None, tmp_path: Path) -> None:
    artifact, old = tmp_path / "model.onnx", tmp_path / "inpaint.mar"
    old.write_bytes(b"the old one")
    if content is not None:
        artifact.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        build_mar(artifact, tmp_path)
    assert old.read_bytes() == b"the old one"


def test_an_archiver_that_fails_is_an_artifact_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A package of that name without its module, as in a broken or missing installation.
    (tmp_path / "model_archiver").mkdir()
    (tmp_path / "model_archiver" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    with pytest.raises(ArtifactError, match="torch-model-archiver"):
        build_mar(engines.MODEL, tmp_path / "out")
    assert not (tmp_path / "out").exists()
