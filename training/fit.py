"""`python -m training fit`: Lightning's command line around this project's module and data."""

from __future__ import annotations

import json
import logging
import warnings
from datetime import timedelta
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

from training.callbacks import BEST, LAST, LOGS, AtomicCheckpointIO, RunRecord, Throughput, write_best
from training.data import InpaintingData
from training.errors import DataError, SettingsError
from training.module import InpaintingModule
from training.weights import expect_network, model_from_lightning

Decay = restricted_number_type(
    "Decay", float, [(">=", 0), ("<", 1)], docstring="float, at least 0 and below 1"
)


class FitCommand(LightningCLI):
    """`fit` with loggers, checkpoints and weight averaging set up; everything else is Lightning's own."""

    def __init__(self) -> None:
        _silence_remarks()
        super().__init__(
            InpaintingModule,
            InpaintingData,
            save_config_callback=None,
            auto_configure_optimizers=False,
            trainer_defaults={"use_distributed_sampler": False},  # `DrawSampler` shares the draws out itself
            parser_kwargs={
                "prog": "python -m training",
                "fit": {"description": "Train an inpainting network."},
            },
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Offer `fit` alone; evaluation is a command of its own."""
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule", "weights_only"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what this project sets beside Lightning's own options."""
        parser.add_argument(
            "--run", type=Path, default=Path("runs/default"), help="folder of logs and checkpoints"
        )
        parser.add_argument(
            "--ema",
            type=Decay,
            default=0.0,
            help="decay of the weight average; 0 = none",
        )
        parser.add_argument(
            "--ema_every",
            type=PositiveInt,
            default=1,
            help="steps between updates of the weight average; a GPU is waited for at each",
        )
        parser.add_argument(
            "--checkpoint_minutes",
            type=NonNegativeFloat,
            default=5.0,
            help="minutes between checkpoints for a resume",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the command line, and check the checkpoint that the run is to go on from."""
        super().parse_arguments(parser, args)
        settings = self.config[self.config["subcommand"]]
        start: str | None = settings["ckpt_path"]
        path = settings["run"] / LAST if start == "last" else Path(start or "")
        if start is None or (start == "last" and not path.exists()):  # Lightning starts such a run afresh
            return
        model, _ = model_from_lightning(path)
        expect_network(model, settings["model"]["network"].as_dict(), path)

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Build the trainer with this project's loggers and callbacks beside the user's own."""
        settings, trainer = self.config[self.subcommand], self.config_init[self.subcommand]["trainer"]
        folder: Path = settings["run"]
        held = any((folder / name).exists() for name in (BEST, LAST))
        if held and settings["ckpt_path"] is None:
            raise SettingsError(
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
            Throughput(),
        ]
        if trainer["enable_progress_bar"] is not False:
            # Every refresh waits for the device.
            callbacks.append(TQDMProgressBar(refresh_rate=10))
        if settings["ema"]:
            average = EMAWeightAveraging(decay=settings["ema"], update_every_n_steps=settings["ema_every"])
            callbacks.append(average)
        kwargs["callbacks"] = [*_listed(trainer["callbacks"]), *callbacks]
        kwargs["plugins"] = [*_listed(trainer["plugins"]), AtomicCheckpointIO()]
        kwargs["logger"] = [
            CSVLogger(folder, name=LOGS, flush_logs_every_n_steps=1),
            TensorBoardLogger(folder, name="tensorboard"),
        ]
        try:
            return super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, ValueError) as error:
            raise SettingsError(f"these trainer options do not work: {error}") from error

    def fit(self, **options: Any) -> None:
        """Train.

        Raises:
            DataError: A picture cannot be read.
        """
        try:
            self.trainer.fit(**options, weights_only=True)
        except DataError as error:
            # A loader process wraps its traceback around the message.
            raise DataError(str(error).rpartition(f"{DataError.__name__}: ")[2].strip()) from error

    def after_fit(self) -> None:
        """Write the best weights and say where they are."""
        folder: Path = self.config[self.subcommand]["run"]
        if self.trainer.is_global_zero and (folder / BEST).is_file():
            write_best(folder)


def _silence_remarks() -> None:
    """Drop three remarks of Lightning's that its users here can do nothing about."""
    # An advertisement.
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    logger.addFilter(lambda record: "litlogger" not in record.getMessage())
    # It always does: the logs are there.
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
    # Lightning's own call.
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.* is deprecated")


def _listed(option: Any) -> list[Any]:
    """Return an option of none, one or several values as a list."""
    return option if isinstance(option, list) else [] if option is None else [option]


def _plain(settings: Any) -> Any:
    """Turn parsed settings into plain JSON values."""
    return json.loads(json.dumps(settings.as_dict(), default=str))
