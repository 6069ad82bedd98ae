"""The training loop's body: one step, one validation step, the optimiser and its schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import lightning as L  # noqa: N812
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from training.losses import LossConfig, Objective, pixel_loss
from training.metrics import psnr, ssim
from training.network.model import InpaintingModel, ModelConfig
from training.transforms import Batch, to_pictures
from training.weights import start_coarse_from, start_from, start_locator_from


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimiser and learning rate.

    Attributes:
        name: "adam", or "adamw" with decoupled weight decay.
        learning_rate: The highest learning rate.
        weight_decay: Weight decay; Adam's is coupled, AdamW's decoupled.
        schedule: "report", a tenth of the rate from epoch 8 on; "cosine", warm-up and a cosine down to zero at the
            last step.
        warmup_steps: Steps of linear warm-up before the cosine.
    """

    name: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["report", "cosine"] = "report"
    warmup_steps: int = 0


REPORT_DROP_EPOCH = 8
ADVERSARY_BETAS = (0.5, 0.9)
"""Adam's betas for a discriminator, whose target moves; its rate is twice the network's (Heusel et al., 2017)."""


class InpaintingModule(L.LightningModule):
    """The network in training.

    Args:
        network: Kind and width of the network.
        loss: What it is trained to lower.
        optimizer: Optimiser and learning rate.
        compile: Compile the network for training (`torch.compile`), which takes a minute and pays off on a GPU.
        start: Weights to start from, safetensors; None starts from random ones. A coarse-to-fine network can also start
            from a residual network's, which become its second stage, and a correction network from the first stage of a
            coarse-to-fine one.
        coarse: Weights of a correction network that a coarse-to-fine network's first stage starts from; None leaves
            that stage as it is.
        locator: Weights of the network that finds the face, from `python -m training locate`; a face-aware network does
            not train it. None leaves it as it is.

    Raises:
        CheckpointError: The weights to start from cannot be read or belong to another network.
    """

    def __init__(
        self,
        network: ModelConfig = ModelConfig(),  # noqa: B008 (frozen)
        loss: LossConfig = LossConfig(),  # noqa: B008
        optimizer: OptimizerConfig = OptimizerConfig(),
        compile: bool = False,  # noqa: A002 (PyTorch's own word)
        start: Path | None = None,
        coarse: Path | None = None,
        locator: Path | None = None,
    ) -> None:
        super().__init__()
        self.model = InpaintingModel(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start is not None:
            start_from(self.model, start)
        if coarse is not None:
            start_coarse_from(self.model, coarse)
        if locator is not None:
            start_locator_from(self.model, locator)
        if compile:
            self.model.unet.compile()
        self.objective, self.optimizer_config = Objective(loss), optimizer

    @property
    def learning_rate(self) -> float:
        """The highest learning rate, as Lightning's learning-rate finder reads and sets it."""
        return self.optimizer_config.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.optimizer_config = replace(self.optimizer_config, learning_rate=rate)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        images, masks = batch
        prediction = self.model.predict(images, masks)
        backward: Tensor
        backward, loss = self.objective(prediction, images, masks)
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (self.trainer.global_step + 1) % every == 0:
            loss = self.trainer.strategy.reduce(loss.detach().clone(), reduce_op="mean")  # over all processes
        self.log("train_loss", loss, prog_bar=True)
        return backward

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss, PSNR and SSIM of one batch, as `training.metrics` defines them."""
        images, masks = batch
        # Compiling again, for evaluation and its smaller last batch, would take longer than it saves.
        with torch.compiler.set_stance("force_eager"):
            prediction = self.model.predict(images, masks)
        filled = torch.where(masks > 0, images, prediction.clamp(0, 1))
        truths, answers = to_pictures(images), to_pictures(filled)
        count = len(truths)
        logged = {
            "val_loss": pixel_loss(prediction, images, masks, self.objective.config).item(),
            "val_psnr": sum(map(psnr, truths, answers)) / count,
            "val_ssim": sum(map(ssim, truths, answers)) / count,
        }
        self.log_dict(logged, batch_size=count, prog_bar=True, sync_dist=True)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients' norm, also under bf16."""
        if gradient_clip_val and self.trainer.precision == "bf16-mixed":
            # Lightning refuses this with a fused optimiser because float16's gradients are scaled. bf16's are not.
            clip_grad_norm_(self.parameters(), gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Build the optimiser and its schedule."""
        config = self.optimizer_config
        factory = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.name]
        groups: list[dict[str, Any]] = [{"params": list(self.model.parameters())}]
        if self.objective.discriminator is not None:
            adversary = {"lr": 2 * config.learning_rate, "betas": ADVERSARY_BETAS}
            groups.append({"params": list(self.objective.discriminator.parameters()), **adversary})
        optimizer = factory(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
        if config.schedule == "report":
            drop = LambdaLR(optimizer, lambda epoch: 1.0 if epoch < REPORT_DROP_EPOCH else 0.1)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": drop, "interval": "epoch"}}
        total = int(self.trainer.estimated_stepping_batches)
        cosine = LambdaLR(optimizer, lambda step: warmup_cosine(step, config.warmup_steps, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}


def warmup_cosine(step: int, warmup: int, total: int) -> float:
    """Return the factor of the learning rate at `step`: a linear warm-up, then a cosine down to 0 at `total`."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))
