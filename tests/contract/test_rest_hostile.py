"""Hostile requests: a file or body made to crash, flood or stall a decoder gets a 4xx, and affects nothing else."""

from typing import Any

import hostile_images
import numpy as np
import pytest
from engines import Engine, PeakMemory
from rest import Fill, RestClient, as_json, as_multipart, assert_well
from sample_pictures import block, encode, encode_mask, face

PHOTO = face(96, 128)
IMAGE, MASK = encode(PHOTO), encode_mask(block(96, 128, 30, 40, 20))
DEEP = hostile_images.tiff(PHOTO.astype(np.uint16) * 257)

_MEGABYTE = 1_000_000
_CPU_SECONDS = 10.0
"""CPU time that a refusal may take. Without limits, these files took up to 17 s, and gigabytes."""


def assert_refused(response: Any) -> None:
    assert response.status_code in (400, 413), response.text[:300]
    assert set(response.json()) == {"code", "type", "message"}


@pytest.mark.parametrize("kind", hostile_images.REFUSED)
def test_a_hostile_file_is_refused(engine: Engine, rest: RestClient, kind: str) -> None:
    file = hostile_images.REFUSED[kind]()
    rest.fill(Fill(DEEP, MASK))  # starts what decodes such files
    with PeakMemory(engine) as memory:
        for fill in (Fill(file, MASK), Fill(IMAGE, file)):
            for encoding in (as_multipart, as_json):
                before = engine.cpu_seconds()
                assert_refused(rest.post(**encoding(fill)))
                assert engine.cpu_seconds() - before < _CPU_SECONDS
    assert memory.growth < 250 * _MEGABYTE
    assert_well(rest)


@pytest.mark.deployed
def test_an_animated_png_of_16_bits_crashes_nothing(rest: RestClient) -> None:
    """Read as its default image, which is complete, it is a valid file of 4x4 pixels."""
    file = hostile_images.apng_of_16_bits()
    for fill in (Fill(file, MASK), Fill(IMAGE, file)):
        for encoding in (as_multipart, as_json):
            response = rest.post(**encoding(fill))
            assert response.status_code == 400
            assert response.json()["type"] == "MaskSizeMismatchException"
    assert_well(rest)


@pytest.mark.deployed
def test_no_sample_comes_from_another_clients_memory(rest: RestClient) -> None:
    """16-bit files get their own pixels back, whatever other clients send in between."""
    hole = block(96, 128, 30, 40, 20)
    for value in (0, 65535, 4096):
        rest.fill(Fill(DEEP, MASK))
        file = hostile_images.tiff(np.full((96, 128, 3), value, np.uint16))
        assert (rest.fill(Fill(file, MASK)).rgb[~hole] == value).all()


def test_12_bit_samples_are_scaled_to_16_bits(rest: RestClient) -> None:
    grey = np.arange(96 * 128, dtype=np.uint16).reshape(96, 128) % 4096
    answer = rest.fill(Fill(hostile_images.tiff_of_12_bits(grey), MASK)).rgb
    known = ~block(96, 128, 30, 40, 20)
    assert np.abs(answer[known][:, 0] - grey[known] * (65535 / 4095)).max() <= 1


def test_json_of_many_values_is_refused(engine: Engine, rest: RestClient) -> None:
    """20 MB of empty lists would take 500 MB, and hold Python's GIL for seconds."""
    body = b'{"image": [' + b"[]," * 7_000_000 + b"0]}"
    with PeakMemory(engine) as memory:
        response = rest.post(data=body, headers={"Content-Type": "application/json"})
    assert_refused(response)
    assert memory.growth < 300 * _MEGABYTE
    assert_well(rest)


@pytest.mark.deployed
def test_an_unusual_form_charset_is_not_a_server_error(rest: RestClient) -> None:
    part = 'Content-Disposition: form-data; name="b\xfccher"; filename="x"\r\n\r\nabc\r\n'.encode("latin-1")
    body = b"--B\r\n" + part + b"--B--\r\n"
    for charset in ("punycode", "idna", "undefined", "utf-7", "rot13", "no-such-charset"):
        content_type = f"multipart/form-data; boundary=B; charset={charset}"
        # TorchServe's frontend refuses some charsets itself, with a 403.
        assert 400 <= rest.post(data=body, headers={"Content-Type": content_type}).status_code < 500
    assert_well(rest)


@pytest.mark.parametrize(
    "disposition", ["form-data", "form-data; filename", "form-data; name", 'form-data; name="']
)
def test_a_damaged_form_is_not_a_server_error(rest: RestClient, disposition: str) -> None:
    body = f"--B\r\nContent-Disposition: {disposition}\r\n\r\nabc\r\n--B--\r\n".encode()
    response = rest.post(data=body, headers={"Content-Type": "multipart/form-data; boundary=B"})
    assert response.status_code == 400
    assert set(response.json()) == {"code", "type", "message"}
    assert_well(rest)
