"""Any bytes are decoded or are an error of the contract, and no decoder process is left behind."""

import pickle
import subprocess
import sys
from random import Random

import numpy as np
import psutil
import pytest
from engines import ROOT
from hypothesis import given, settings
from image_seeds import SEEDS
from mutations import mutate, mutated

from serving.core import sandbox_process
from serving.core.codec import decode_image, decode_mask
from serving.core.errors import InvalidRequestError, TooManyPixelsError
from serving.core.image_headers import image_pixels, is_ordinary

_LIMIT = 100_000


def _decoders() -> list[psutil.Process]:
    """The processes that decode; other tests' servers, which have decoders of their own, do not count."""
    helpers = [
        process
        for process in psutil.Process().children()
        if any(sandbox_process.__name__ in argument for argument in process.cmdline())
    ]
    return helpers + [child for helper in helpers for child in helper.children()]


@given(mutated(SEEDS))
@settings(settings.get_profile("fuzz"))
def test_damaged_files_are_pictures_or_refused(data: bytes) -> None:
    try:
        picture = decode_image(data, _LIMIT)
    except (InvalidRequestError, TooManyPixelsError):
        pass
    else:
        height, width, channels = picture.samples.shape
        assert 0 < height * width <= _LIMIT
        assert channels in (1, 2, 3, 4)
        assert picture.samples.dtype in (np.uint8, np.uint16)
    assert len(_decoders()) <= 6


@pytest.mark.parametrize("name", SEEDS)
def test_headers_may_end_anywhere(name: str) -> None:
    file = SEEDS[name]
    for size in range(len(file)):
        assert is_ordinary(file[:size]) in (True, False)
        assert (image_pixels(file[:size]) or 0) >= 0


_DECODE = """
import pickle, sys
from serving.core.codec import decode_image
from serving.core.errors import InpaintError

for file in pickle.load(sys.stdin.buffer):
    try:
        decode_image(file, 100_000)
    except InpaintError:
        print("refused")
"""


def test_damaged_files_are_not_logged() -> None:
    files = [mutate(Random(seed), SEEDS) for seed in range(100)]
    command = [sys.executable, "-c", _DECODE]
    done = subprocess.run(command, input=pickle.dumps(files), cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.count(b"refused") > 50
    assert done.stderr == b""


@given(mutated(SEEDS))
@settings(settings.get_profile("fuzz"))
def test_the_same_file_is_always_the_same_picture(data: bytes) -> None:
    """Samples that depend on memory, instead of on the file, differ from one time to the next."""
    try:
        first = decode_mask(data, _LIMIT)
    except (InvalidRequestError, TooManyPixelsError):
        return
    assert (decode_mask(data, _LIMIT) == first).all()
