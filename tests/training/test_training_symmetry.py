"""The detail that the other side of a face offers for the hole, and how the network uses it."""

import pytest
import torch
from known_face import KnownFace
from torch import Tensor, nn

from training.network.alignment import FEATURES, MIDDLE, positions, transform
from training.network.face_locator import Face, find_face
from training.network.model import InpaintingModel, ModelConfig
from training.network.smooth_fill import ANY_SIZE, smooth_fill
from training.network.symmetry import detail_of_other_side, mirror_image

UPRIGHT = torch.tensor([[1.0, 0.0, -MIDDLE, 0.0]])  # the axis is in the middle of the picture
TURNED = torch.tensor([[1.2, 0.3, 0.1, -0.2]])
HOLE = (slice(None), slice(None), slice(20, 36), slice(10, 26))  # wide


def symmetric_face() -> Tensor:
    torch.manual_seed(0)
    half = torch.rand(1, 3, 64, 32)
    return torch.cat([half, half.flip(3)], 3)


def with_hole(picture: Tensor) -> tuple[Tensor, Tensor]:
    known = torch.ones_like(picture[:, :1])
    known[HOLE] = 0
    return picture * known, known


@pytest.mark.parametrize("size", [(89, 89), (89, 134), (134, 89)])
def test_one_eye_is_mirrored_onto_the_other(size: tuple[int, int]) -> None:
    left, right = transform(TURNED, torch.tensor(FEATURES[:2]))[0]
    places = positions(*size, TURNED)
    picture = torch.exp(-(((places - right).norm(dim=2) / 0.05) ** 2)).expand(1, 3, -1, -1)
    known = torch.ones(1, 1, *size)
    mirrored, mirrored_known = mirror_image(picture, known, TURNED)
    brightest = places.reshape(-1, 2)[mirrored[0, 0].flatten().argmax()]
    assert (brightest - left).norm() < 0.03
    assert mirrored_known[0, 0].flatten()[(places - left).norm(dim=2).argmin()] == 1


def test_the_counterpart_of_a_hole_is_unknown() -> None:
    known = torch.ones(1, 1, 40, 40)
    known[..., :20] = 0
    picture = torch.rand(1, 3, 40, 40) * known
    mirrored, mirrored_known = mirror_image(picture, known, UPRIGHT)
    assert mirrored_known[..., :20].all()
    assert not mirrored_known[..., 20:].any()
    assert not mirrored[..., 20:].any()


def face_in(masked: Tensor, known: Tensor, logit: float = 30.0) -> Face:
    return find_face(masked, known, KnownFace(UPRIGHT, logit))


def smooth_fill_of(masked: Tensor, known: Tensor) -> Tensor:
    return smooth_fill(masked, known, ANY_SIZE)


def test_a_symmetric_face_gets_its_detail_back() -> None:
    picture = symmetric_face()
    masked, known = with_hole(picture)
    fill = smooth_fill_of(masked, known)
    detail, offered = detail_of_other_side(masked, known, fill, face_in(masked, known))
    torch.testing.assert_close(offered, 1 - known, atol=1e-4, rtol=0)
    before, after = ((x - picture)[HOLE].square().mean() for x in (fill, fill + detail))
    assert after < 0.1 * before


def test_light_from_one_side_stays_there() -> None:
    """The other side is darker by the same amount everywhere."""
    lit = symmetric_face() * 0.5 + 0.25
    dark = lit - torch.where(torch.arange(64) < 32, 0.0, 0.2)
    details = []
    for picture in (lit, dark):
        masked, known = with_hole(picture)
        fill = smooth_fill_of(masked, known)
        details.append(detail_of_other_side(masked, known, fill, face_in(masked, known))[0])
    torch.testing.assert_close(details[1][HOLE], details[0][HOLE], atol=0.02, rtol=0)


def test_nothing_is_offered_where_the_other_side_is_a_hole_too() -> None:
    masked, known = with_hole(symmetric_face())
    known[..., 24:36, 38:54] = 0  # the lower part of the counterpart
    masked = masked * known
    fill = smooth_fill_of(masked, known)
    detail, offered = detail_of_other_side(masked, known, fill, face_in(masked, known))
    assert offered[..., 20:24, 10:26].all()
    assert not offered[..., 24:, :].any()
    assert not detail[offered.expand_as(detail) == 0].any()


def test_a_thin_mark_is_offered_nothing() -> None:
    picture = symmetric_face()
    known = torch.ones_like(picture[:, :1])
    known[..., 20:31, :24] = 0  # as thick as the report's lines
    masked = picture * known
    fill = smooth_fill_of(masked, known)
    for nothing in detail_of_other_side(masked, known, fill, face_in(masked, known)):
        assert not nothing.any()


@pytest.mark.parametrize("everything", [False, True])
def test_nothing_is_offered_without_a_face_or_known_pixels(everything: bool) -> None:
    masked, known = with_hole(symmetric_face())
    if everything:
        masked, known = masked * 0, known * 0
    face = face_in(masked, known, 30.0 if everything else -30.0)
    for nothing in detail_of_other_side(masked, known, smooth_fill_of(masked, known), face):
        assert nothing.abs().max() < 1e-6


def face_aware_model() -> InpaintingModel:
    """An untrained network whose first fill is the smooth one."""
    torch.manual_seed(0)
    model = InpaintingModel(ModelConfig("residual", 2, face_aware=True)).eval()
    model.locator = KnownFace(UPRIGHT)
    return model


@pytest.mark.parametrize(("logit", "share"), [(-20.0, 0.0), (0.0, 0.5), (20.0, 1.0)])
def test_the_network_takes_over_a_share(logit: float, share: float) -> None:
    model, picture = face_aware_model(), symmetric_face()
    assert model.unet.out.bias is not None
    nn.init.constant_(model.unet.out.bias[3:], logit)
    masked, known = with_hole(picture)
    fill = smooth_fill_of(masked, known)
    detail, _ = detail_of_other_side(masked, known, fill, face_in(masked, known))
    with torch.no_grad():
        answer = model.predict(picture, known)
    torch.testing.assert_close(answer, fill + share * detail, atol=1e-5, rtol=0)


def test_the_share_is_learned() -> None:
    model, picture = face_aware_model(), symmetric_face()
    _, known = with_hole(picture)
    loss = (model.predict(picture, known) - picture)[HOLE].square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    assert model.unet.out.bias is not None
    assert model.unet.out.bias.grad is not None
    assert model.unet.out.bias.grad[3] < 0  # a larger share is better
    assert model.locator is not None
    assert all(parameter.grad is None for parameter in model.locator.parameters())
