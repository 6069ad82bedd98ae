"""Graphs of other projects: which description fits, what is refused, and that the pixels are right."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from other_graphs import DYNAMIC, LAMA_1, LAMA_255, MIGAN, Signature, mean_of_known, save_mean_filler
from sample_pictures import block, decode_rgba, encode, encode_mask, face, scratch

from serving.core.contract import FillRequest
from serving.core.description import ready_descriptions
from serving.core.errors import ModelFileError, TooManyPixelsError
from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime

SMALL = (1, 128, 128)
OURS = Signature(dims=DYNAMIC, hole=0, known=1)

# Signatures that are served without any description, and the side of their windows.
AUTOMATIC = {
    "lama-255": (LAMA_255, 512),
    "lama-1": (LAMA_1, 512),
    "lama-mask-first": (replace(LAMA_255, mask_first=True, dims=SMALL), 128),
    "lama-float16": (replace(LAMA_1, dtype=TensorProto.FLOAT16, dims=SMALL), 128),
    "migan": (MIGAN, 512),
    "ours": (OURS, 178),
}

# Signatures that need a description, and one for each.
DESCRIBED = {
    "names": (
        Signature(dims=DYNAMIC, image="picture", mask="where", output="repaired"),
        "mask: {hole: 1}\nsize: 256",
    ),
    "dynamic-lama": (replace(LAMA_255, dims=DYNAMIC), "graph: lama\nsize: 256\nmultiple_of: 8"),
    "minus-one-to-one": (
        Signature(dims=SMALL, white=2, scale=2, offset=-1, hole=0, known=1),
        "image: {range: [-1, 1]}\nmask: {hole: 0}\noutput: {range: [-1, 1], composited: true}",
    ),
    "measured-minus-one-to-one": (
        Signature(dims=SMALL, white=2, scale=2, offset=-1),
        "image: {range: [-1, 1]}\nmask: {hole: 1}",
    ),
    "float-255": (
        Signature(dims=SMALL, white=255, scale=255, hole=255, known=0),
        "image: {range: [0, 255]}\nmask: {hole: 255}\noutput: {range: [0, 255]}",
    ),
    "uint8-hole-255": (
        replace(MIGAN, hole=255, known=0),
        "graph: migan\nmask: {hole: 255}\nsize: 128",
    ),
    "positions": (
        Signature(dims=SMALL, mask_first=True),
        "image: {name: 1}\nmask: {name: 0, hole: 1}\noutput: {name: 0, range: [0, 1]}",
    ),
    "not-square": (Signature(dims=(1, 128, 192), scale=255), "graph: lama"),
    "bgr": (Signature(dims=SMALL), "graph: lama\nimage: {order: BGR}\noutput: {order: BGR}"),
}


def fill(runtime: Runtime, photo: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill a photo through the whole pipeline. Return HW3 uint8."""
    request = FillRequest(encode(photo), encode_mask(hole))
    return decode_rgba(Pipeline(runtime).fill(request).response.image)[:, :, :3]


def assert_filled_with_the_mean(runtime: Runtime, size: int) -> None:
    photo, hole = face(size, size), block(size, size, size // 3, size // 4, size // 5)
    filled = fill(runtime, photo, hole)
    np.testing.assert_array_equal(filled[~hole], photo[~hole])
    expected = mean_of_known(photo, hole)
    assert np.abs(filled.astype(int) - expected)[hole].max() <= 1


@pytest.mark.parametrize("name", AUTOMATIC)
def test_common_signatures_are_served_without_a_description(tmp_path: Path, name: str) -> None:
    signature, side = AUTOMATIC[name]
    runtime = Runtime(save_mean_filler(tmp_path / "model.onnx", signature), threads=1)
    assert (runtime.side, runtime.name) == (side, "inpaint")
    assert_filled_with_the_mean(runtime, side)
    assert_filled_with_the_mean(runtime, 60)  # padded with unknown pixels, which the mean leaves out


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_description_beside_the_file_says_the_rest(tmp_path: Path, name: str) -> None:
    signature, description = DESCRIBED[name]
    path = save_mean_filler(tmp_path / "model.onnx", signature, description)
    assert_filled_with_the_mean(Runtime(path, threads=1), 100)


def test_a_description_may_be_in_the_metadata(tmp_path: Path) -> None:
    signature, description = DESCRIBED["names"]
    path = save_mean_filler(tmp_path / "model.onnx", signature, graph=description, model_name="repair")
    runtime = Runtime(path, threads=1)
    assert (runtime.name, runtime.side) == ("repair", 256)
    assert_filled_with_the_mean(runtime, 100)


def test_our_metadata_tells_a_fixed_graph_of_ours_from_lama(tmp_path: Path) -> None:
    signature = Signature(dims=SMALL, hole=0, known=1)
    path = save_mean_filler(tmp_path / "model.onnx", signature, mask_convention="1 = known, 0 = hole")
    runtime = Runtime(path, threads=1)
    assert (runtime.side, runtime.fixed) == (128, True)
    assert_filled_with_the_mean(runtime, 100)


@pytest.mark.parametrize(("height", "width"), [(700, 900), (513, 200), (129, 500)])
def test_a_large_photo_is_filled_in_windows_of_the_fixed_size(
    tmp_path: Path, height: int, width: int
) -> None:
    runtime = Runtime(save_mean_filler(tmp_path / "model.onnx", replace(LAMA_255, dims=SMALL)), threads=1)
    photo, hole = face(height, width), scratch(height, width, 9) | block(height, width, 50, 60, 70)
    filled = fill(runtime, photo, hole)
    np.testing.assert_array_equal(filled[~hole], photo[~hole])
    assert not (filled[hole] == 0).all(axis=1).any()
    noise = np.random.default_rng(0).integers(0, 256, photo.shape, np.uint8)
    under = np.where(hole[:, :, np.newaxis], noise, photo)
    np.testing.assert_array_equal(fill(runtime, under, hole), filled)


def test_tensors_larger_than_the_fixed_size_are_refused(tmp_path: Path) -> None:
    runtime = Runtime(save_mean_filler(tmp_path / "model.onnx", replace(LAMA_255, dims=SMALL)), threads=1)
    with pytest.raises(TooManyPixelsError, match=r"129x128.*128x128"):
        runtime.run(np.zeros((1, 3, 128, 129), np.float32), np.ones((1, 1, 128, 129), np.float32))
    batch = runtime.run(np.full((3, 3, 64, 64), 0.5, np.float32), np.ones((3, 1, 64, 64), np.float32))
    assert batch.shape == (3, 3, 64, 64)


# Graphs that no ready description fits, and what the refusal must say.
REFUSED = {
    "inverted-lama": (replace(LAMA_255, hole=0, known=1), "polarity"),
    "inverted-migan": (replace(MIGAN, hole=255, known=0), "polarity"),
    "dynamic-lama": (replace(LAMA_255, dims=DYNAMIC), "polarity"),
    "another-range": (replace(LAMA_255, scale=17), "none of the ranges"),
    "other-names": (
        Signature(dims=DYNAMIC, image="picture"),
        r"'picture' float \[n,3,h,w\].*the image must be named 'image'.*lama: height and width must be fixed"
        r".*model\.yaml",
    ),
    "two-at-a-time": (replace(LAMA_255, dims=(2, 128, 128)), "2 images at a time"),
    "too-small": (replace(LAMA_255, dims=(1, 64, 64)), "64 pixels"),
    "ambiguous": (
        Signature(dims=(1, 178, 178)),
        "more than one description: inpaint, lama.*graph: inpaint",
    ),
    "half-fixed": (replace(LAMA_255, dims=(1, 128, "w")), "one of height and width"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_graph_that_fits_no_description_is_refused(tmp_path: Path, name: str) -> None:
    signature, words = REFUSED[name]
    with pytest.raises(ModelFileError, match=words) as caught:
        Runtime(save_mean_filler(tmp_path / "model.onnx", signature), threads=1)
    assert "model.onnx" in caught.value.message


def test_another_number_of_inputs_is_refused_with_what_was_found(tmp_path: Path) -> None:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "classifier",
        [info("x", TensorProto.FLOAT, [1, 3, 224, 224])],
        [info("y", TensorProto.FLOAT, [1, 3, 224, 224])],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with pytest.raises(ModelFileError, match=r"'x' float \[1,3,224,224\].*1 inputs instead of two"):
        Runtime(path)


# Wrong descriptions, and what the refusal must say.
WRONG = {
    "yaml": ("mask: {hole: 1", "not valid YAML"),
    "list": ("- mask", "the file is"),
    "empty": ("", "the file is None"),
    "key": ("masks: {hole: 1}", "'masks'; it must be one of the keys graph, image, mask"),
    "no-hole": ("size: 128", "mask.hole is None"),
    "hole": ("mask: {hole: white}", "mask.hole is 'white'"),
    "equal": ("mask: {hole: 1, known: 1}", "mask.known is 1.0"),
    "ready": ("graph: lamb", "'lamb'; it must be one of inpaint, lama, migan"),
    "range": ("mask: {hole: 1}\nimage: {range: 255}", "image.range is 255"),
    "range-equal": ("mask: {hole: 1}\nimage: {range: [1, 1]}", r"image.range is \[1, 1\]"),
    "order": ("mask: {hole: 1}\nimage: {order: GRB}", "'GRB'; it must be one of RGB, BGR"),
    "dtype": ("mask: {hole: 1, dtype: int64}", "mask.dtype is 'int64'"),
    "name": ("mask: {hole: 1, name: 1.5}", "mask.name is 1.5"),
    "composited": ("mask: {hole: 1}\noutput: {composited: 3}", "output.composited is 3"),
    "size": ("mask: {hole: 1}\nsize: 0", "size is 0"),
    "multiple": ("mask: {hole: 1}\nmultiple_of: eight", "multiple_of is 'eight'"),
    "other-name": ("graph: lama\nimage: {name: picture}", "must be named 'picture'.*Its inputs are 'image'"),
    "position": ("graph: lama\nimage: {name: 2}", "position 2"),
    "same": ("mask: {hole: 1, name: image}", "1 channels"),
    "other-dtype": ("mask: {hole: 1, dtype: uint8}", "must be uint8"),
    "other-size": ("graph: lama\nsize: 256", "dynamic, or 256"),
    "polarity": ("graph: lama\nmask: {hole: 0}", "polarity"),
    "stated-composited": (
        "mask: {hole: 1}\noutput: {range: [0, 1], composited: true}",
        "come back as 0 and 255 instead of 0 and 1",
    ),
}


@pytest.mark.parametrize("mask", ["hole: 256", "hole: -1", "hole: 0.5", "hole: 0, known: 300"])
def test_values_that_an_8_bit_mask_cannot_have_are_refused(tmp_path: Path, mask: str) -> None:
    path = save_mean_filler(tmp_path / "model.onnx", MIGAN, f"graph: migan\nmask: {{{mask}}}")
    with pytest.raises(ModelFileError, match="integers from 0 to 255"):
        Runtime(path)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_description_is_refused_with_what_would_be_right(tmp_path: Path, name: str) -> None:
    description, words = WRONG[name]
    path = save_mean_filler(tmp_path / "model.onnx", replace(LAMA_255, dims=SMALL), description)
    with pytest.raises(ModelFileError, match=words) as caught:
        Runtime(path, threads=1)
    assert "\n" not in caught.value.message


def test_a_doubtful_description_only_causes_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A network may be right although its known pixels come back changed, if its output is not composited."""
    description = "mask: {hole: 1}\noutput: {range: [0, 1]}"
    Runtime(save_mean_filler(tmp_path / "model.onnx", replace(LAMA_255, dims=SMALL), description))
    assert "may be described incorrectly" in caplog.text


def test_the_ready_descriptions_are_those_of_the_documentation() -> None:
    assert set(ready_descriptions()) == {"inpaint", "lama", "migan"}


def test_the_order_of_channels_is_that_of_the_description(tmp_path: Path) -> None:
    """With only the image in BGR, the graph's RGB mean has its channels reversed."""
    path = save_mean_filler(
        tmp_path / "model.onnx", Signature(dims=SMALL), "graph: lama\nimage: {order: BGR}"
    )
    photo, hole = face(100, 100), block(100, 100, 30, 30, 20)
    filled = fill(Runtime(path, threads=1), photo, hole)
    assert np.abs(filled.astype(int) - mean_of_known(photo, hole)[:, :, ::-1])[hole].max() <= 1
