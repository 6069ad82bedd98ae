"""Filling with the SDK but without a server gives the results and errors of a server."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engines import Engine
from inpaint_client import ClientError, InpaintClient, InvalidInputError
from inpaint_client.local import fill
from sample_pictures import as_mask, encode, encode_mask, face, scratch

PHOTO, HOLE = face(200, 150), scratch(200, 150, 7)


def test_the_result_equals_the_servers(onnx_engine: Engine) -> None:
    with InpaintClient(onnx_engine.url) as client:
        assert fill(PHOTO, HOLE) == client.fill(PHOTO, HOLE)
        local_jpeg = fill(PHOTO, HOLE, output_format="jpeg", metadata="no-location", output_size="model")
        assert local_jpeg == client.fill(
            PHOTO, HOLE, output_format="jpeg", metadata="no-location", output_size="model"
        )
        with pytest.raises(ClientError) as local:
            fill(PHOTO, HOLE[:-1])
        with pytest.raises(ClientError) as remote:
            client.fill(PHOTO, HOLE[:-1])
    assert local.value.args[:3] == remote.value.args[:3]


def test_known_pixels_are_unchanged_and_the_hole_is_filled(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encode(PHOTO))
    (tmp_path / "mask.png").write_bytes(encode_mask(HOLE))
    result = fill(tmp_path / "photo.png", str(tmp_path / "mask.png"))
    pixels = result.to_array()
    np.testing.assert_array_equal(pixels[~HOLE], PHOTO[~HOLE])
    assert (pixels[HOLE] != PHOTO[HOLE]).any()
    assert (result.width, result.height) == (150, 200)
    assert result.hole_ratio == pytest.approx(HOLE.mean(), abs=1e-6)
    assert result.seconds["run"] > 0
    cutout = np.dstack([PHOTO, 255 - as_mask(HOLE)])
    np.testing.assert_array_equal(fill(cutout).to_array()[:, :, :3], pixels)
    assert fill(PHOTO, HOLE, output_size="model").to_array().shape == (178, 178, 3)


def test_what_cannot_be_filled_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match=r"The mask covers .*400 InvalidMaskException, without a server"):
        fill(PHOTO, np.ones_like(HOLE))
    with pytest.raises(InvalidInputError, match=r"none\.onnx"):
        fill(PHOTO, HOLE, model=tmp_path / "none.onnx")
    with pytest.raises(InvalidInputError, match=r"none\.png"):
        fill(tmp_path / "none.png", HOLE)
    with pytest.raises(InvalidInputError, match="invalid metadata"):
        fill(PHOTO, HOLE, metadata="some")  # type: ignore[arg-type]


def test_without_the_servers_package_the_error_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from inpaint_client.local import fill\n"
        "from inpaint_client import InpaintError\n"
        "try: fill(b'x', b'x')\n"
        "except InpaintError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.stdout == (
        "filling without a server requires onnxruntime; install inpaint-client[local]\n"
    ), done.stderr
