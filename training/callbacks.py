"""Callbacks of a training run: what it leaves in its folder, and how fast it trains."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
import torch
from lightning.fabric.utilities.throughput import measure_flops
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from training.files import write_atomically
from training.module import InpaintingModule
from training.network.model import MODEL_SIZE, InpaintingModel, ModelConfig
from training.plots import draw_curves
from training.weights import model_from_lightning, save_weights

WEIGHTS = "inpaint.safetensors"
CURVES = "curves.png"
BEST = "best.ckpt"
LAST = "last.ckpt"
LOGS = "logs"

PRODUCT_SIDE = 8192
"""Side of the matrices whose product measures what a GPU can do."""


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


class Throughput(Callback):
    """Logs `pictures_per_s` and, on a GPU, `peak_share` at every logging step, when the host waits for it anyway.

    Lightning's own `ThroughputMonitor` waits for the device after every step.
    """

    def __init__(self) -> None:
        self.since: tuple[float, int] | None = None
        self.peak: float | None = None
        self.flops = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find what the device can do and what a picture costs."""
        assert isinstance(pl_module, InpaintingModule)  # noqa: S101 (the command line trains nothing else)
        if trainer.strategy.root_device.type == "cuda":
            dtype = torch.bfloat16 if "bf16" in str(trainer.precision) else torch.float32
            self.peak = matmul_peak(trainer.strategy.root_device, dtype)
            self.flops = flops_per_picture(pl_module.model.config)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the speed since the last logging step."""
        if trainer.global_step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        now = time.perf_counter()
        if self.since is not None:
            pictures = (trainer.global_step - self.since[1]) * len(batch[0]) * trainer.world_size
            speed = pictures / (now - self.since[0])
            logged = {"pictures_per_s": speed}
            if self.peak is not None:
                logged["peak_share"] = speed * self.flops / (self.peak * trainer.world_size)
            pl_module.log_dict(logged, prog_bar=True)
        self.since = now, trainer.global_step

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the time of a validation out."""
        self.since = None


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Measure a large matrix product on a GPU, in floating-point operations per second."""
    a, b = (torch.randn(PRODUCT_SIDE, PRODUCT_SIDE, device=device).to(dtype) for _ in range(2))
    product = torch.empty_like(a)
    times = []
    for _ in range(10):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        torch.mm(a, b, out=product)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return float(2 * PRODUCT_SIDE**3 / min(times))


def flops_per_picture(config: ModelConfig) -> int:
    """Count the floating-point operations of the network's forward and backward pass for one picture."""
    with torch.device("meta"):
        model = InpaintingModel(config)
        image = torch.empty(1, 3, MODEL_SIZE, MODEL_SIZE)
        return measure_flops(model, lambda: model(image, image[:, :1]), torch.Tensor.sum)
