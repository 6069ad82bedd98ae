"""Callbacks of a training run: checkpoints, curves, stopping on a signal, and throughput."""

from __future__ import annotations

import io
import json
import math
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
import torch
from lightning.fabric.utilities.throughput import measure_flops
from lightning.pytorch.callbacks import Callback, LearningRateFinder, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.io import TorchCheckpointIO

from training.errors import CheckpointError, DataError, Stopped
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

LOG_EVERY, POINTS = 50, 50
"""Steps between two points of the training curve, and the number of points below which a run logs more often."""

PRODUCT_SIDE = 8192
"""Side of the square matrices used to measure a GPU's peak throughput."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes each checkpoint to a temporary file in the same folder, then renames it.

    Lightning writes to the system's temporary folder, so its rename is not atomic if that is on another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write the checkpoint so that a reader finds either the old or the new file, complete."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(Path(path), buffer.getbuffer())


class RunRecord(Callback):
    """Stores the run's configuration, draws the curves and writes a checkpoint at the end.

    Args:
        config: The configuration's sections model, data and trainer, as plain JSON values.
        folder: The run's folder.
        loggers: The run's loggers. They are attached once the data has been found: Lightning would open them earlier,
            and a start that fails would leave empty logs.
    """

    def __init__(self, config: dict[str, Any], folder: Path, loggers: list[Logger]) -> None:
        self.config, self.folder, self.loggers = config, folder, loggers

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Attach the loggers."""
        trainer.loggers = self.loggers

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the configuration, and choose the logging interval where it is not configured."""
        if any(isinstance(callback, LearningRateFinder) for callback in trainer.callbacks):  # type: ignore[attr-defined]
            trainer.strategy.setup_optimizers(
                trainer
            )  # schedules multiply the rate that they were built with
        for logger in trainer.loggers:
            logger.log_hyperparams(self.config)
        if self.config["trainer"]["log_every_n_steps"] is None:
            steps = min(trainer.estimated_stepping_batches, LOG_EVERY * POINTS)
            trainer.log_every_n_steps = max(1, int(steps) // POINTS)  # type: ignore[attr-defined]

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Log each step under its own number: Lightning counts one too many after some resumes."""
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the configuration and the current metrics, as JSON."""
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
        """Keep the best score of the run's folder.

        Lightning would reset it if the folder was moved. Otherwise it would take the score stored in this checkpoint,
        which is older than the best one if the run was killed after a validation; worse weights would then replace the
        best ones.
        """
        if Path(str(trainer.ckpt_path)).resolve().parent != self.folder.resolve():
            return
        states: dict[str, Any] = checkpoint["callbacks"]
        best = self.folder / BEST
        newest = torch.load(best, "cpu", weights_only=True)["callbacks"] if best.is_file() else {}
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.state_key in states:
                key = callback.state_key
                if callback.monitor is not None and key in newest:
                    states[key] = max(states[key], newest[key], key=_best_score)
                states[key]["dirpath"] = callback.dirpath

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the curves from the CSV log, if there is one."""
        if trainer.is_global_zero and not trainer.sanity_checking and (self.folder / LOGS).is_dir():
            draw_curves(self.folder / LOGS, self.folder / CURVES)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the final curves, and save the last step before weight averaging replaces the model's weights."""
        self.on_validation_end(trainer, pl_module)
        trainer.save_checkpoint(self.folder / LAST, weights_only=False)


def _best_score(state: dict[str, Any]) -> float:
    """Return the best score in the state of a `ModelCheckpoint` for which higher scores are better."""
    score = state["best_model_score"]
    return -math.inf if score is None else float(score)


class LastCheckpoint(ModelCheckpoint):
    """Saves the current step to `last.ckpt` at fixed intervals, and when SIGINT or SIGTERM stops the run.

    The first signal stops the run after the current step, or after the validation in progress: only then is the state
    consistent. A second signal ends the process at once.

    Args:
        folder: The run's folder.
        minutes: Minutes between checkpoints.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        interval = timedelta(minutes=minutes)
        super().__init__(
            folder, LAST.removesuffix(".ckpt"), train_time_interval=interval, enable_version_counter=False
        )
        self.path, self.received, self.stopping = folder / LAST, 0, False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Install the signal handlers; Lightning restores the previous ones when training ends."""
        super().on_train_start(trainer, pl_module)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request_stop)

    def _request_stop(self, number: int, _: object) -> None:
        self.received = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        print("\nstopping after this step; repeat the signal to stop at once", file=sys.stderr)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save a checkpoint if one is due, or if any process received a signal."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if trainer.strategy.reduce_boolean_decision(bool(self.received), all=False):
            trainer.save_checkpoint(self.path, weights_only=False)
            self.stopping = True

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Save a checkpoint if a picture decoded during training cannot be read."""
        if isinstance(exception, DataError) and trainer.global_step and trainer.world_size == 1:
            trainer.save_checkpoint(self.path, weights_only=False)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop after a signal; the last step's metrics have been logged by now.

        Raises:
            Stopped: A signal was received; `last.ckpt` holds the last step.
        """
        if self.stopping:
            raise Stopped(self.received or signal.SIGTERM)


def write_weights(folder: Path) -> None:
    """Write the weights of a run's best checkpoint as safetensors.

    The last checkpoint's are written instead if the run was never validated, or has an adversary, which trains for
    something that PSNR does not measure.

    Raises:
        CheckpointError: The folder has no checkpoint, or it is damaged.
    """
    found = [folder / name for name in (BEST, LAST) if (folder / name).is_file()]
    if not found:
        raise CheckpointError(
            f"there is no {BEST} or {LAST} in {folder}; `python -m training fit` writes them"
        )
    source = found[0]
    model, run = model_from_lightning(source)
    has_adversary = run["config"]["model"]["loss"]["adversary"] > 0
    if has_adversary and source != found[-1]:
        source = found[-1]
        model, run = model_from_lightning(source)
    target = folder / WEIGHTS
    save_weights(target, model, run)
    note = ""
    if has_adversary and source.name == LAST:
        note = f" (step {run['step']}, the last one: PSNR does not measure what an adversary trains for)"
    elif source.name == LAST:
        note = f" (step {run['step']}; the run has no validation yet)"
    elif run["step"] == 0:
        note = " (the starting weights: no later validation was better)"
    print(f"weights: {target}{note}")


class Throughput(Callback):
    """Logs `pictures_per_s` and, on a GPU, `peak_share` at every logging step, when the host synchronises anyway.

    Lightning's `ThroughputMonitor` synchronises with the device after every step.
    """

    def __init__(self) -> None:
        self.since: tuple[float, int] | None = None
        self.peak: float | None = None
        self.flops = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure the GPU's peak throughput and count the operations for one picture."""
        assert isinstance(pl_module, InpaintingModule)  # noqa: S101 (the only module that the command line trains)
        if trainer.strategy.root_device.type == "cuda":
            dtype = torch.bfloat16 if "bf16" in str(trainer.precision) else torch.float32
            self.peak = matmul_peak(trainer.strategy.root_device, dtype)
            self.flops = flops_per_picture(pl_module.model.config)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the throughput since the last logging step."""
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
        """Exclude validation time."""
        self.since = None


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Measure a GPU's throughput on a large matrix product, in floating-point operations per second."""
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
    """Count the floating-point operations of a forward and backward pass for one picture."""
    with torch.device("meta"):
        model = InpaintingModel(config)
        image = torch.empty(1, 3, MODEL_SIZE, MODEL_SIZE)
        return measure_flops(model, lambda: model(image, image[:, :1]), torch.Tensor.sum)
