"""Validation callbacks: validation of the starting weights, and sample pictures."""

from __future__ import annotations

from typing import Any

import lightning as L  # noqa: N812
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from training.module import InpaintingModule
from training.plots import sheet
from training.transforms import Batch, to_pictures

SAMPLES = 4
"""Pictures on the sample sheet."""


class ValidateFirst(Callback):
    """Validates the weights that training starts from, so that only better ones become the best checkpoint."""

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Validate before the first step, as the training loop does between two steps."""
        if trainer.global_step or trainer.current_epoch:
            return
        connector = trainer._logger_connector
        first = connector._first_loop_iter
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.run()
        trainer.training = True
        connector._first_loop_iter = first


class Samples(Callback):
    """Shows the first validation pictures in TensorBoard: masked input, filled, truth and difference."""

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Fill the first pictures again, with the weights being validated."""
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if batch_idx or not boards or not trainer.is_global_zero or trainer.sanity_checking:
            return
        assert isinstance(pl_module, InpaintingModule)  # noqa: S101 (the only module that the command line trains)
        images, masks = (part[:SAMPLES] for part in batch)
        with torch.compiler.set_stance("force_eager"):
            answers = to_pictures(pl_module.model(images, masks))
        holes = np.where(masks[:, 0].cpu().numpy() > 0, 0, 255).astype(np.uint8)
        pictures = list(zip(to_pictures(images), holes, answers, strict=True))
        for logger in boards:
            logger.experiment.add_image("validation", sheet(pictures), trainer.global_step, dataformats="HWC")
