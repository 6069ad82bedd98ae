"""`python -m training fit`: Lightning's command line with this project's module and data."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
from jsonargparse.typing import NonNegativeFloat, PositiveInt, restricted_number_type
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from training.callbacks import (
    BEST,
    LAST,
    LOGS,
    AtomicCheckpointIO,
    LastCheckpoint,
    RunRecord,
    Throughput,
    write_weights,
)
from training.data import InpaintingData
from training.errors import DataError, SettingsError, Stopped
from training.module import InpaintingModule
from training.weights import expect_network, model_from_lightning

Decay = restricted_number_type(
    "Decay", float, [(">=", 0), ("<", 1)], docstring="float, at least 0 and below 1"
)


class FitCommand(LightningCLI):
    """`fit` with loggers, checkpoints and weight averaging configured; everything else is Lightning's."""

    def __init__(self) -> None:
        _silence_remarks()
        super().__init__(
            InpaintingModule,
            InpaintingData,
            save_config_callback=None,
            auto_configure_optimizers=False,
            trainer_defaults={"use_distributed_sampler": False},  # `DrawSampler` distributes the draws
            parser_kwargs={
                "prog": "python -m training",
                "fit": {"description": "Train an inpainting network."},
            },
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Offer `fit` only; evaluation is a separate command."""
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule", "weights_only"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add this project's options to Lightning's."""
        parser.add_argument(
            "--run", type=Path, default=Path("runs/default"), help="folder for logs and checkpoints"
        )
        parser.add_argument(
            "--ema",
            type=Decay,
            default=0.0,
            help="decay of the exponential moving average of the weights; 0 disables it",
        )
        parser.add_argument(
            "--ema_every",
            type=PositiveInt,
            default=1,
            help="steps between updates of the moving average; each update synchronises with the GPU",
        )
        parser.add_argument(
            "--checkpoint_minutes",
            type=NonNegativeFloat,
            default=5.0,
            help="minutes between checkpoints to resume from",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the command line, and check the checkpoint to resume from before anything is written.

        Raises:
            SettingsError: The run's folder holds a run that the options would overwrite.
            CheckpointError: The checkpoint is missing, damaged or of another network.
        """
        super().parse_arguments(parser, args)
        settings = self.config[self.config["subcommand"]]
        folder: Path = settings["run"]
        start: str | None = settings["ckpt_path"]
        best, last = folder / BEST, folder / LAST
        if start is None and (best.exists() or last.exists()):
            raise SettingsError(
                f"{folder} already holds a run; resume it with `--ckpt_path last`, or choose another folder with"
                " `--run`"
            )
        if start == "last" and best.exists() and not last.exists():
            raise SettingsError(
                f"{folder} has a {BEST} but no {LAST}; resume from the best step with `--ckpt_path {best}`, or choose"
                " another folder with `--run`"
            )
        path = last if start == "last" else Path(start or "")
        if start is None or (start == "last" and not path.exists()):  # a new run
            return
        model, _ = model_from_lightning(path)
        expect_network(model, settings["model"]["network"].as_dict(), path)

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Build the trainer with this project's callbacks and loggers in addition to the user's.

        A user's loggers replace TensorBoard's; the CSV log stays, because the curves are drawn from it. With
        `--trainer.logger false` nothing is logged.
        """
        settings, trainer = self.config[self.subcommand], self.config_init[self.subcommand]["trainer"]
        folder: Path = settings["run"]
        logger = trainer["logger"]
        callbacks = [
            RunRecord({name: _plain(settings[name]) for name in ("model", "data", "trainer")}, folder),
            ModelCheckpoint(
                folder,
                BEST.removesuffix(".ckpt"),
                monitor="val_psnr",
                mode="max",
                enable_version_counter=False,
            ),
            LastCheckpoint(folder, settings["checkpoint_minutes"]),
            Throughput(),
        ]
        if logger is not False:
            callbacks.append(LearningRateMonitor("step"))
        if trainer["enable_progress_bar"] is not False:
            # Every refresh synchronises with the device.
            callbacks.append(TQDMProgressBar(refresh_rate=10))
        if settings["ema"]:
            average = EMAWeightAveraging(decay=settings["ema"], update_every_n_steps=settings["ema_every"])
            callbacks.append(average)
        kwargs["callbacks"] = [*_listed(trainer["callbacks"]), *callbacks]
        kwargs["plugins"] = [*_listed(trainer["plugins"]), AtomicCheckpointIO()]
        if logger is not False:
            own = (
                [TensorBoardLogger(folder, name="tensorboard")] if logger in (None, True) else _listed(logger)
            )
            kwargs["logger"] = [CSVLogger(folder, name=LOGS, flush_logs_every_n_steps=1), *own]
        try:
            return super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, ValueError) as error:
            raise SettingsError(f"invalid trainer options: {error}") from error

    def fit(self, **options: Any) -> None:
        """Train.

        Raises:
            DataError: A picture cannot be read.
            Stopped: A signal stopped training; the checkpoint and the weights have been written.
        """
        try:
            self.trainer.fit(**options, weights_only=True)
        except Stopped:
            self.after_fit()
            raise
        except DataError as error:
            # A loader process adds its traceback to the message.
            raise DataError(str(error).rpartition(f"{DataError.__name__}: ")[2].strip()) from error

    def after_fit(self) -> None:
        """Write the weights and print their path."""
        folder: Path = self.config[self.subcommand]["run"]
        if self.trainer.is_global_zero and (folder / LAST).is_file():
            write_weights(folder)


def _silence_remarks() -> None:
    """Suppress three messages of Lightning that do not apply here."""
    # Advertisement.
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    logger.addFilter(lambda record: "litlogger" not in record.getMessage())
    # The folder always holds the logs.
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
    # Caused by Lightning itself.
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.* is deprecated")


def _listed(option: Any) -> list[Any]:
    """Return an option with no, one or several values as a list."""
    return option if isinstance(option, list) else [] if option is None else [option]


def _plain(settings: Any) -> Any:
    """Convert parsed settings to plain JSON values."""
    return json.loads(json.dumps(settings.as_dict(), default=str))
