"""The exported network that finds marks gives PyTorch's answer, at any size."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from export.__main__ import main
from export.marks import export_marks
from serving.core.marks import IMAGE, MARKS
from training.marks import FORMAT, load_marks_network
from training.network.marks_unet import MarksUNet
from training.weights import save_tensors


@pytest.mark.slow
def test_the_graph_gives_the_networks_answer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights, artifact = tmp_path / "marks.safetensors", tmp_path / "marks.onnx"
    save_tensors(weights, FORMAT, MarksUNet(), {"provenance": {"steps": 0}})
    export_marks(weights, artifact)
    session, (network, _) = ort.InferenceSession(artifact), load_marks_network(weights)
    assert session.get_modelmeta().custom_metadata_map["provenance"].endswith('"steps": 0}')
    for shape in [(1, 3, 112, 112), (2, 3, 33, 50), (1, 3, 1, 200), (3, 3, 16, 16)]:
        image = torch.rand(shape)
        (answer,) = session.run([MARKS], {IMAGE: image.numpy()})
        with torch.inference_mode():
            np.testing.assert_allclose(answer, network(image).sigmoid().numpy(), atol=1e-5)


def test_missing_weights_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["marks", str(tmp_path / "none"), "-o", str(tmp_path / "marks.onnx")]) == 1
    assert capsys.readouterr().err.endswith("train one with `python -m training marks`\n")
