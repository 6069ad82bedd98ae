"""The first fill of a coarse-to-fine model: what it keeps, what it adds, and the weights that its stages start from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from known_face import KnownFace
from torch import Tensor, nn

from training.errors import CheckpointError, SettingsError
from training.module import InpaintingModule
from training.network.coarse_to_fine import coarse_fill
from training.network.correction_unet import CorrectionUNet
from training.network.face_locator import FaceLocator, find_face
from training.network.model import FACE_AWARE_KINDS, InpaintingModel, Kind, ModelConfig
from training.weights import save_locator, save_weights

CONFIG = ModelConfig("coarse-to-fine", 2)
ALIGNED = torch.tensor([[1.0, 0.0, 0.0, 0.0]])


class Answers(nn.Module):
    """A stand-in for a coarse network that knows the truth; it records its inputs."""

    def __init__(self, truth: Tensor) -> None:
        super().__init__()
        self.truth = truth
        self.asked: list[tuple[Tensor, Tensor]] = []

    def forward(self, masked: Tensor, known: Tensor) -> Tensor:
        self.asked.append((masked, known))
        return self.truth


def smooth_picture(height: int, width: int) -> Tensor:
    coarse = torch.rand(1, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False).clamp(0, 1)


def hole_in(height: int, width: int) -> Tensor:
    known = torch.ones(1, 1, height, width)
    known[..., height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = 0
    return known


@pytest.mark.parametrize(("height", "width"), [(64, 96), (97, 131)])
def test_known_pixels_stay_and_the_hole_is_the_coarse_answer(height: int, width: int) -> None:
    picture, known = smooth_picture(height, width), hole_in(height, width)
    half = F.avg_pool2d(picture, 2, ceil_mode=True)
    fill = coarse_fill(picture * known, known, Answers(half))
    where = (known > 0).expand_as(picture)
    torch.testing.assert_close(fill[where], picture[where], rtol=0, atol=1e-6)
    torch.testing.assert_close(fill[~where], picture[~where], rtol=0, atol=0.02)


def test_the_coarse_network_sees_the_mean_of_the_known_pixels() -> None:
    picture, known = torch.rand(1, 3, 34, 36), (torch.rand(1, 1, 34, 36) > 0.5).float()
    coarse = Answers(torch.zeros(1, 3, 17, 18))
    coarse_fill(picture * known, known, coarse)
    ((masked, half_known),) = coarse.asked
    blocks = known.reshape(17, 2, 18, 2).sum((1, 3))
    assert torch.equal(half_known[0, 0] > 0, blocks > 0)
    sums = (picture * known).reshape(3, 17, 2, 18, 2).sum((2, 4))
    torch.testing.assert_close(masked[0], sums / blocks.clamp(min=1))


def test_fine_detail_around_the_hole_fades_in_it() -> None:
    """Known rows keep the detail that the coarse answer lacks; in the middle of the hole it has faded out."""
    height, width = 96, 96
    known, picture = hole_in(height, width), torch.full((1, 3, height, width), 0.6)
    checks = 0.1 * (torch.arange(height)[:, None] % 2) * torch.ones(width)
    picture = picture + checks
    fill = coarse_fill(picture * known, known, Answers(torch.full((1, 3, 48, 48), 0.65)))
    where = (known > 0).expand_as(picture)
    torch.testing.assert_close(fill[where], picture[where], rtol=0, atol=1e-6)
    torch.testing.assert_close(fill[..., 47:49, 47:49].mean(), torch.tensor(0.65), rtol=0, atol=0.02)


def test_a_face_that_is_aligned_already_changes_nothing_but_wide_holes() -> None:
    """The aligned answer differs from the other one; thin marks do not take it."""
    picture, known = torch.rand(1, 3, 178, 178), torch.ones(1, 1, 178, 178)
    known[..., 40:80, 60:110] = 0
    known[..., 120:126, 20:150] = 0
    face = find_face(picture * known, known, KnownFace(ALIGNED))
    torch.manual_seed(0)
    coarse = CorrectionUNet(4)
    nn.init.normal_(coarse.out.weight, std=0.02)
    with torch.no_grad():
        plain, aligned = (coarse_fill(picture * known, known, coarse, found) for found in (None, face))
    changed = (plain - aligned).abs().amax((0, 1)) > 1e-6
    assert changed[45:75, 65:105].all()
    assert not changed[100:].any()


def test_both_stages_learn() -> None:
    model = InpaintingModel(CONFIG)
    assert isinstance(model.coarse, CorrectionUNet)
    for network in (model.coarse, model.unet):
        nn.init.normal_(network.out.weight)
    model.predict(torch.rand(1, 3, 40, 40), hole_in(40, 40)).square().mean().backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
    assert model.coarse.first.conv.weight.grad is not None
    assert model.unet.out.weight.grad is not None
    assert model.coarse.out.weight.grad is not None
    assert model.coarse.out.weight.grad.any()
    assert model.unet.out.weight.grad.any()


def weights_of(config: ModelConfig, path: Path, seed: int, std: float = 1.0) -> InpaintingModel:
    torch.manual_seed(seed)
    model = InpaintingModel(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=std)
    save_weights(path, model, {})
    return model


def test_each_stage_starts_from_weights_of_its_own(tmp_path: Path) -> None:
    coarse, fine = tmp_path / "coarse.safetensors", tmp_path / "fine.safetensors"
    correction = weights_of(ModelConfig("correction", 4), coarse, 1)
    residual = weights_of(ModelConfig("residual", 2), fine, 2)
    module = InpaintingModule(CONFIG, start=fine, coarse=coarse)
    assert module.model.coarse is not None
    for stage, given in ((module.model.coarse, correction), (module.model.unet, residual)):
        wanted = given.unet.state_dict()
        assert stage.state_dict().keys() == wanted.keys()
        for name, tensor in stage.state_dict().items():
            assert torch.equal(tensor, wanted[name])


def test_a_correction_network_starts_from_a_first_stage(tmp_path: Path) -> None:
    path = tmp_path / "whole.safetensors"
    whole = weights_of(CONFIG, path, 3)
    assert whole.coarse is not None
    module = InpaintingModule(whole.coarse_config(), start=path)
    for name, tensor in module.model.unet.state_dict().items():
        assert torch.equal(tensor, whole.coarse.state_dict()[name])


@pytest.mark.parametrize("kind", FACE_AWARE_KINDS)
def test_a_symmetric_network_starts_from_a_plain_one(tmp_path: Path, kind: Kind) -> None:
    """Without a face, it is the same function."""
    path, found = tmp_path / "weights.safetensors", tmp_path / "locator.safetensors"
    plain = weights_of(ModelConfig(kind, 2), path, 3, std=0.1).eval()
    locator = FaceLocator()
    nn.init.constant_(locator.second.out.bias[4:], -30.0)  # there is no face
    save_locator(found, locator, {})
    config = ModelConfig("coarse-to-fine", 2, face_aware=True)
    model = InpaintingModule(config, start=path, locator=found).model.eval()
    assert model.locator is not None
    for name, tensor in model.locator.state_dict().items():
        assert torch.equal(tensor, locator.state_dict()[name])
    image, mask = torch.rand(1, 3, 40, 40), (torch.rand(1, 1, 40, 40) > 0.3).float()
    if plain.coarse is None:
        assert model.coarse is not None
        for name, tensor in plain.unet.state_dict().items():
            own = model.unet.state_dict()[name]
            assert torch.equal(own[tuple(map(slice, tensor.shape))], tensor)
        return
    with torch.no_grad():
        torch.testing.assert_close(model.predict(image, mask), plain.predict(image, mask))


def test_only_a_symmetric_network_takes_a_locator(tmp_path: Path) -> None:
    save_locator(tmp_path / "locator.safetensors", FaceLocator(), {})
    with pytest.raises(CheckpointError, match=r"no locator .* make it face-aware"):
        InpaintingModule(CONFIG, locator=tmp_path / "locator.safetensors")


def test_a_plain_network_does_not_start_from_a_symmetric_one(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    weights_of(ModelConfig("coarse-to-fine", 2, face_aware=True), path, 3)
    with pytest.raises(CheckpointError, match="'face_aware': True"):
        InpaintingModule(CONFIG, start=path)


def test_a_symmetric_network_does_not_start_from_a_correction_network(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    weights_of(ModelConfig("correction", 2), path, 3)
    with pytest.raises(
        CheckpointError, match=r"holds a network with \{'kind': 'correction', 'width': 2\}, but"
    ):
        InpaintingModule(ModelConfig("coarse-to-fine", 2, face_aware=True), start=path)


@pytest.mark.parametrize("kind", ["report", "correction"])
def test_other_kinds_cannot_be_face_aware(kind: Kind) -> None:
    with pytest.raises(SettingsError, match="choose residual or coarse-to-fine"):
        ModelConfig(kind, 2, face_aware=True)


def test_a_whole_network_starts_from_its_own_kind(tmp_path: Path) -> None:
    path = tmp_path / "whole.safetensors"
    whole = weights_of(CONFIG, path, 3).state_dict()
    for name, tensor in InpaintingModule(CONFIG, start=path).model.state_dict().items():
        assert torch.equal(tensor, whole[name])


@pytest.mark.parametrize(
    ("network", "kind", "message"),
    [
        (CONFIG, ModelConfig("correction", 3), "holds a network with"),
        (ModelConfig("residual", 2), ModelConfig("correction", 4), "no coarse stage to start from"),
    ],
)
def test_weights_of_another_coarse_stage_are_refused(
    tmp_path: Path, network: ModelConfig, kind: ModelConfig, message: str
) -> None:
    path = tmp_path / "other.safetensors"
    weights_of(kind, path, 4)
    with pytest.raises(CheckpointError, match=message):
        InpaintingModule(network, coarse=path)
