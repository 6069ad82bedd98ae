"""The model around each network: sizes, known pixels, what is under the hole, batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from training.errors import SettingsError
from training.network.model import MIN_SIZE, InpaintingModel, ModelConfig
from training.network.smooth_fill import ANY_SIZE, smooth_fill

CONFIGS = (
    ModelConfig("report", 2),
    ModelConfig("residual", 2),
    ModelConfig("correction", 2),
    ModelConfig("coarse-to-fine", 2),
    ModelConfig("residual", 2, face_aware=True),
    ModelConfig("coarse-to-fine", 2, face_aware=True),
)


@pytest.mark.parametrize("width", [0, -3])
def test_a_network_without_channels_is_refused(width: int) -> None:
    with pytest.raises(SettingsError, match="width must be at least 1"):
        ModelConfig(width=width)


@pytest.fixture(scope="module", params=CONFIGS, ids=str)
def model(request: pytest.FixtureRequest) -> InpaintingModel:
    """A narrow model with random weights and batch statistics of its own."""
    torch.manual_seed(0)
    model = InpaintingModel(request.param)
    if model.locator is not None:
        nn.init.normal_(model.locator.second.out.weight, std=0.02)
        nn.init.constant_(model.locator.second.out.bias[4:], 9.0)  # there is a face
    for convolution in (m for m in model.modules() if isinstance(m, nn.Conv2d) and not m.weight.any()):
        nn.init.normal_(convolution.weight, std=0.1)  # networks that correct a fill start with zeros
    nn.init.normal_(model.unet.out.weight)
    assert model.unet.out.bias is not None
    nn.init.constant_(model.unet.out.bias, 0.5 if request.param.kind == "report" else 0.0)
    model.train()
    for _ in range(3):
        model.predict(torch.rand(2, 3, 64, 64), (torch.rand(2, 1, 64, 64) > 0.3).float())
    model.eval()
    with torch.no_grad():  # predictions mostly within [0, 1]
        model.unet.out.weight *= 0.2 / model.predict(torch.rand(2, 3, 64, 64), torch.ones(2, 1, 64, 64)).std()
    return model


def picture_and_mask(seed: int, height: int, width: int, count: int = 1) -> tuple[Tensor, Tensor]:
    """Random pictures with a solid hole and scattered hole pixels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, height, width, generator=generator)
    masks = (torch.rand(count, 1, height, width, generator=generator) > 0.1).float()
    for mask in masks:
        top = int(torch.randint(0, height // 2, (1,), generator=generator))
        left = int(torch.randint(0, width // 2, (1,), generator=generator))
        mask[:, top : top + height // 2, left : left + width // 2] = 0
    return images, masks


@pytest.mark.parametrize(
    ("height", "width"), [(MIN_SIZE, MIN_SIZE), (33, 45), (45, 32), (64, 97), (178, 178), (111, 178)]
)
def test_any_size_from_32_on(model: InpaintingModel, height: int, width: int) -> None:
    image, mask = picture_and_mask(1, height, width)
    with torch.inference_mode():
        answer = model(image, mask)
    assert answer.shape == image.shape
    assert answer.dtype == torch.float32
    assert answer.isfinite().all()
    assert 0 <= answer.min() <= answer.max() <= 1


def test_the_tests_below_are_sensitive_to_the_network(model: InpaintingModel) -> None:
    """The answers are neither constant nor clamped throughout."""
    image, mask = picture_and_mask(1, 64, 97)
    with torch.inference_mode():
        answer = model(image, mask)[(mask == 0).expand_as(image)]
    assert answer.std() > 0.01
    assert ((answer > 0) & (answer < 1)).float().mean() > 0.5


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), height=st.integers(32, 61), width=st.integers(32, 61))
def test_known_pixels_come_back_bit_for_bit(
    model: InpaintingModel, seed: int, height: int, width: int
) -> None:
    image, mask = picture_and_mask(seed, height, width)
    with torch.inference_mode():
        answer = model(image, mask)
    known = mask.expand_as(image) > 0
    assert torch.equal(answer[known].view(torch.int32), image[known].view(torch.int32))


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    rubbish=st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e38, -7.5, 0.25]),
)
def test_what_is_under_the_hole_never_matters(model: InpaintingModel, seed: int, rubbish: float) -> None:
    image, mask = picture_and_mask(seed, 40, 51)
    spoilt = torch.where(mask > 0, image, torch.full_like(image, rubbish))
    with torch.inference_mode():
        assert torch.equal(model.predict(image, mask), model.predict(spoilt, mask))
        assert torch.equal(model(image, mask), model(spoilt, mask))


def test_what_is_under_the_hole_does_not_affect_training(model: InpaintingModel) -> None:
    """Gradients and batch statistics do not see it either: NaN there leaves a training step intact."""
    image, mask = picture_and_mask(3, 48, 48, count=2)
    spoilt = torch.where(mask > 0, image, torch.nan)
    states = []
    for pictures in (image, spoilt):
        learner = InpaintingModel(model.config)
        learner.load_state_dict(model.state_dict())
        learner.train().predict(pictures, mask).square().mean().backward()  # type: ignore[no-untyped-call]
        states.append([*(p.grad for p in learner.parameters() if p.requires_grad), *learner.buffers()])
    for clean, spoiled in zip(*states, strict=True):
        assert clean.isfinite().all()
        assert torch.equal(clean, spoiled)


def test_an_all_known_mask_returns_the_picture(model: InpaintingModel) -> None:
    image, _ = picture_and_mask(4, 47, 33)
    with torch.inference_mode():
        assert torch.equal(model(image, torch.ones(1, 1, 47, 33)), image)


def test_an_all_hole_mask_gives_finite_values(model: InpaintingModel) -> None:
    with torch.inference_mode():
        answer = model(torch.rand(1, 3, 47, 33), torch.zeros(1, 1, 47, 33))
    assert answer.isfinite().all()


def test_a_batch_equals_single_runs(model: InpaintingModel) -> None:
    images, masks = picture_and_mask(5, 57, 70, count=5)
    with torch.inference_mode():
        batch = model(images, masks)
        singles = torch.cat([model(i[None], m[None]) for i, m in zip(images, masks, strict=True)])
    np.testing.assert_allclose(batch.numpy(), singles.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_settings_are_plain_values(config: ModelConfig) -> None:
    model = InpaintingModel(config)
    face_aware = {"face_aware": True} if config.face_aware else {}
    assert model.settings() == {"kind": config.kind, "width": 2, **face_aware}


def test_a_fresh_residual_model_answers_the_smooth_fill() -> None:
    image, mask = picture_and_mask(6, 50, 61)
    with torch.inference_mode():
        fresh = InpaintingModel(ModelConfig("residual", 2)).eval()
        assert torch.equal(fresh.predict(image, mask), smooth_fill(image * mask, mask, ANY_SIZE))
