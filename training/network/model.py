"""The inpainting model: masking, a network, and compositing, as in the ONNX graph."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from training.errors import SettingsError, check_at_least
from training.network.coarse_to_fine import coarse_fill
from training.network.correction_unet import CorrectionUNet
from training.network.face_locator import FaceLocator, find_face
from training.network.partial_conv import coverage
from training.network.report_unet import PartialConvUNet
from training.network.smooth_fill import ANY_SIZE, smooth_fill
from training.network.symmetry import detail_of_other_side

MODEL_SIZE = 178
"""Side length of training pictures, in pixels."""
MIN_SIZE = 32
"""Minimum height and width of a picture, in pixels."""


Kind = Literal["report", "residual", "correction", "coarse-to-fine"]
INITIAL_SHARE = 1.5
"""Logit of the share of the other side's detail that is added before training, 0.8; squared error alone learns 0.4."""
FACE_AWARE_KINDS: tuple[Kind, ...] = ("residual", "coarse-to-fine")


@dataclass(frozen=True)
class ModelConfig:
    """Kind and width of the network.

    Attributes:
        kind: "report", the report's U-Net of partial convolutions, which predicts the picture; "residual", the same
            U-Net, which sees a smooth first fill as three more channels and predicts the correction to it;
            "correction", a U-Net at half resolution for the same task; or "coarse-to-fine", a correction network of
            twice the width at half size, whose answer is the first fill of a residual one.
        width: Channels of the first block; 64 in the report.
        face_aware: Whether another small network finds the face. The first stage of a coarse-to-fine network then fills
            wide holes in the aligned picture; and a network with a first fill sees what the other side of the face
            offers for the hole, and adds a share of it.

    Raises:
        SettingsError: `width` is less than 1, or the kind cannot be face-aware.
    """

    kind: Kind = "report"
    width: int = 64
    face_aware: bool = False

    def __post_init__(self) -> None:
        check_at_least("the network's width", self.width, 1)
        if self.face_aware and self.kind not in FACE_AWARE_KINDS:
            raise SettingsError(
                f"a {self.kind} network cannot be face-aware; choose {' or '.join(FACE_AWARE_KINDS)}"
            )

    def settings(self) -> dict[str, object]:
        """Return a plain mapping, which is stored with the weights; it has "face_aware" only if that is true."""
        return {name: value for name, value in asdict(self).items() if value is not False}


class InpaintingModel(nn.Module):
    """The network with masking, first fill and compositing, as exported to ONNX."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.unet: PartialConvUNet | CorrectionUNet
        in_two_stages = config.kind == "coarse-to-fine"
        self.coarse = CorrectionUNet(self.coarse_config().width) if in_two_stages else None
        # It is trained separately, on faces whose alignment is known.
        self.locator = FaceLocator().requires_grad_(False) if config.face_aware else None
        if config.kind == "correction":
            self.unet = CorrectionUNet(config.width)
        elif config.face_aware:
            self.unet = PartialConvUNet(config.width, 3 + 3 + 3 + 1, 3 + 1)
        else:
            self.unet = PartialConvUNet(config.width, 3 if config.kind == "report" else 3 + 3)
        if config.kind == "residual" or in_two_stages:  # before training the answer is the first fill
            nn.init.zeros_(self.unet.out.weight)
            assert self.unet.out.bias is not None  # noqa: S101 (the layer is built with one)
            nn.init.zeros_(self.unet.out.bias)
            nn.init.constant_(self.unet.out.bias[3:], INITIAL_SHARE)

    def coarse_config(self) -> ModelConfig:
        """Return the configuration of a coarse-to-fine model's first stage."""
        return ModelConfig("correction", 2 * self.config.width)

    def predict(self, image: Tensor, mask: Tensor) -> Tensor:
        """Predict the whole picture, known pixels too; see `forward` for the arguments. N3HW float32, unbounded."""
        # `where` instead of a product, so that values in the hole, including NaN, have no effect.
        masked = torch.where(mask > 0, image, torch.zeros_like(image))
        if isinstance(self.unet, CorrectionUNet):
            correction: Tensor = self.unet(masked, mask)
            return correction
        dtype = self.unet.out.weight.dtype
        if self.config.kind == "report":
            prediction: Tensor = self.unet(masked.to(dtype), coverage([mask], [3]).to(dtype))
            return prediction.float()
        share = coverage([mask, torch.ones_like(mask)], [3, 3])
        face = None if self.locator is None else find_face(masked, mask, self.locator)
        if self.coarse is not None:
            fill = coarse_fill(masked, mask, self.coarse, face)
        else:
            with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
                fill = smooth_fill(masked, mask, ANY_SIZE)
        seen, detail = [masked, fill], None
        if face is not None:
            detail, offered = detail_of_other_side(masked, mask, fill, face)
            seen += [detail, offered]  # the coverage does not count them
        answer: Tensor = self.unet(torch.cat(seen, 1).to(dtype), share.to(dtype)).float()
        prediction = fill + answer[:, :3]
        return prediction if detail is None else prediction + detail * answer[:, 3:].sigmoid()

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Fill the hole.

        Args:
            image: N3HW float32 RGB in [0, 1]; values in the hole are ignored. H and W at least 32.
            mask: N1HW float32, 1 = known, 0 = hole.

        Returns:
            N3HW float32 in [0, 1], equal to `image` wherever it is known.
        """
        return torch.where(mask > 0, image, self.predict(image, mask).clamp(0, 1))

    def settings(self) -> dict[str, object]:
        """Return the configuration as a plain mapping."""
        return self.config.settings()
