"""What a training run leaves in its folder: checkpoints, weights and curves."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from training.curves import draw_curves
from training.files import write_atomically
from training.weights import model_from_lightning, save_weights

WEIGHTS = "inpaint.safetensors"
CURVES = "curves.png"
BEST = "best.ckpt"
LAST = "last.ckpt"
LOGS = "logs"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints beside their target first.

    Lightning's own way goes through the system's temporary folder, which is not atomic when that is another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write the checkpoint so that a reader finds the old one or the new one, whole."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(Path(path), buffer.getbuffer())


class RunRecord(Callback):
    """Puts the run's configuration into checkpoints, draws the curves and leaves a checkpoint at the end."""

    def __init__(self, config: dict[str, Any], folder: Path) -> None:
        self.config, self.folder = config, folder

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the configuration and the figures so far, as JSON."""
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val_")}
        run = {
            "config": self.config,
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "metrics": metrics,
        }
        checkpoint["run"] = json.dumps(run)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the best score so far also when the run's folder was moved, which Lightning takes for another."""
        if Path(str(trainer.ckpt_path)).resolve().parent == self.folder.resolve():
            for callback in trainer.checkpoint_callbacks:
                if isinstance(callback, ModelCheckpoint) and callback.state_key in checkpoint["callbacks"]:
                    checkpoint["callbacks"][callback.state_key]["dirpath"] = callback.dirpath

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the curves."""
        if trainer.is_global_zero and not trainer.sanity_checking:
            draw_curves(self.folder / LOGS, self.folder / CURVES)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw all of the curves, and keep the last step before weight averaging overwrites the model."""
        self.on_validation_end(trainer, pl_module)
        trainer.save_checkpoint(self.folder / LAST, weights_only=False)


def write_best(folder: Path) -> Path:
    """Write the best checkpoint's weights as safetensors beside it and return the file."""
    model, run = model_from_lightning(folder / BEST)
    target = folder / WEIGHTS
    save_weights(target, model, run)
    print(f"weights: {target}")
    return target
