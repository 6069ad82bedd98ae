"""`python -m training fit`: Lightning's command line around this project's module and data."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from training.curves import draw_curves
from training.data import InpaintingData
from training.errors import TrainingError
from training.lightning_module import InpaintingModule
from training.weights import model_from_lightning, save_weights

WEIGHTS = "inpaint.safetensors"
CURVES = "curves.png"
BEST = "best.ckpt"
LAST = "last.ckpt"
LOGS = "logs"


class RunRecord(Callback):
    """Puts the run's configuration into every checkpoint, and draws the curves after every validation."""

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

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the curves."""
        if trainer.is_global_zero and not trainer.sanity_checking:
            draw_curves(self.folder / LOGS, self.folder / CURVES)


class FitCommand(LightningCLI):
    """`fit` with loggers, checkpoints and weight averaging set up; everything else is Lightning's own."""

    def __init__(self, args: list[str]) -> None:
        super().__init__(
            InpaintingModule,
            InpaintingData,
            args=args,
            save_config_callback=None,
            parser_kwargs={"description": "Train an inpainting network."},
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Offer `fit` alone; evaluation is a command of its own."""
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what this project sets beside Lightning's own options."""
        parser.add_argument(
            "--run", type=Path, default=Path("runs/default"), help="folder of logs and checkpoints"
        )
        parser.add_argument("--ema", type=float, default=0.0, help="decay of the weight average; 0 = none")
        parser.add_argument(
            "--checkpoint_minutes", type=float, default=5.0, help="minutes between checkpoints for a resume"
        )

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Build the trainer with this project's loggers and callbacks beside the user's own."""
        settings = self.config[self.subcommand]
        folder: Path = settings["run"]
        if (folder / LAST).exists() and settings["ckpt_path"] is None:
            raise TrainingError(
                f"{folder} holds a run already; go on with it by `--ckpt_path last`, or name another by `--run`"
            )
        callbacks = [
            RunRecord({name: _plain(settings[name]) for name in ("model", "data", "trainer")}, folder),
            ModelCheckpoint(
                folder,
                BEST.removesuffix(".ckpt"),
                monitor="val_psnr",
                mode="max",
                enable_version_counter=False,
            ),
            ModelCheckpoint(
                folder,
                LAST.removesuffix(".ckpt"),
                train_time_interval=timedelta(minutes=settings["checkpoint_minutes"]),
                enable_version_counter=False,
            ),
            LearningRateMonitor("step"),
        ]
        if settings["ema"]:
            callbacks.append(EMAWeightAveraging(decay=settings["ema"]))
        loggers = [CSVLogger(folder, name=LOGS), TensorBoardLogger(folder, name="tensorboard")]
        mine = {"logger": loggers, "callbacks": [*(settings["trainer"]["callbacks"] or []), *callbacks]}
        return super().instantiate_trainer(**{**kwargs, **mine})

    def after_fit(self) -> None:
        """Write the best weights and say where they are."""
        folder: Path = self.config[self.subcommand]["run"]
        if self.trainer.is_global_zero and (folder / BEST).is_file():
            write_best(folder)


def write_best(folder: Path) -> Path:
    """Write the best checkpoint's weights as safetensors beside it and return the file."""
    model, run = model_from_lightning(folder / BEST)
    target = folder / WEIGHTS
    save_weights(target, model, run)
    print(f"weights: {target}")
    return target


def _plain(settings: Any) -> Any:
    """Turn parsed settings into plain JSON values."""
    return json.loads(json.dumps(settings.as_dict(), default=str))
