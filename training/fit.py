"""`python -m training fit`: Lightning's command line with this project's module and data."""

from __future__ import annotations

import difflib
import json
import logging
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn, cast

import lightning as L  # noqa: N812
import torch
from jsonargparse.typing import NonNegativeFloat, PositiveInt, restricted_number_type
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

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
from training.network.model import ModelConfig
from training.precision import AUTO, Chosen, Trainer, choose_precision
from training.validation import Samples, ValidateFirst
from training.weights import expect_network, model_from_lightning

Decay = restricted_number_type(
    "Decay", float, [(">=", 0), ("<", 1)], docstring="float, at least 0 and below 1"
)


PRECISION = "INPAINT_TRAINING_PRECISION"
"""Environment variable that carries the choice of `--trainer.precision auto` to the processes of a run."""


class OneLineParser(LightningArgumentParser):
    """Reports errors in one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong, without the usage, and exit with status 2."""
        parser: LightningArgumentParser = getattr(ex, "subcommand_parser", None) or self
        line = re.sub(r"Does not validate against any .*? Errors: -", "", " ".join(message.split()))
        line = re.sub(r"Given value type: .*? Given value:", "Got value:", line)
        unknown = re.search(r"[Uu]nrecognized arguments: (--[^\s=]+)", line)
        if unknown:
            similar = difflib.get_close_matches(unknown[1], parser._option_string_actions, 1)
            line += f"; did you mean {similar[0]}?" if similar else ""
        print(f"error: {line}", file=sys.stderr)
        self.exit(2)


class FitCommand(LightningCLI):
    """`fit` with loggers, checkpoints and weight averaging configured; everything else is Lightning's."""

    def __init__(self) -> None:
        _silence_remarks()
        super().__init__(
            InpaintingModule,
            InpaintingData,
            save_config_callback=None,
            auto_configure_optimizers=False,
            trainer_class=Trainer,
            parser_class=OneLineParser,
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
        model, run = model_from_lightning(path)
        expect_network(model, ModelConfig(**settings["model"]["network"].as_dict()), path)
        if settings["trainer"]["precision"] == AUTO:  # the choice made at the run's first start
            settings["trainer"]["precision"] = run["config"]["trainer"]["precision"]

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Build the trainer with this project's callbacks and loggers in addition to the user's.

        A user's loggers replace TensorBoard's; the CSV log stays, because the curves are drawn from it. With
        `--trainer.logger false` nothing is logged.
        """
        settings, trainer = self.config[self.subcommand], self.config_init[self.subcommand]["trainer"]
        folder: Path = settings["run"]
        loggers: list[Logger] = []
        if trainer["logger"] is not False:
            own = trainer["logger"]
            board = TensorBoardLogger(folder, name="tensorboard", default_hp_metric=False)
            loggers = [CSVLogger(folder, name=LOGS, flush_logs_every_n_steps=1)]
            loggers += [board] if own in (None, True) else _listed(own)
        kwargs["logger"] = False  # `RunRecord` attaches them
        kwargs["default_root_dir"] = trainer["default_root_dir"] or folder
        if trainer["precision"] == AUTO:
            settings["trainer"]["precision"] = kwargs["precision"] = self._chosen_precision()
        best = ModelCheckpoint(
            folder, BEST.removesuffix(".ckpt"), monitor="val_psnr", mode="max", enable_version_counter=False
        )
        best._last_global_step_saved = -1  # step 0 may be saved
        record = {name: _plain(settings[name]) for name in ("model", "data", "trainer")}
        callbacks = [
            RunRecord(record, folder, loggers),
            best,
            LastCheckpoint(folder, settings["checkpoint_minutes"]),
            Throughput(),
            Samples(),
        ]
        if loggers:
            callbacks.append(LearningRateMonitor("step"))
        if settings["model"]["start"] is not None:
            callbacks.append(ValidateFirst())
        if trainer["enable_progress_bar"] is not False:
            # Every refresh synchronises with the device.
            callbacks.append(TQDMProgressBar(refresh_rate=10))
        if settings["ema"]:
            average = EMAWeightAveraging(decay=settings["ema"], update_every_n_steps=settings["ema_every"])
            callbacks.append(average)
        own_callbacks = _listed(trainer["callbacks"])
        for callback in own_callbacks:
            if isinstance(callback, LearningRateFinder):
                # With a threshold it would take every loss in dB, which is negative, for a divergence.
                callback._early_stop_threshold = None
        kwargs["callbacks"] = [*own_callbacks, *callbacks]
        kwargs["plugins"] = [*_listed(trainer["plugins"]), AtomicCheckpointIO()]
        try:
            return super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, ValueError) as error:
            raise SettingsError(f"invalid trainer options: {error}") from error

    def _chosen_precision(self) -> Chosen:
        """Choose the precision once per machine; processes that this one starts reuse its choice."""
        if "LOCAL_RANK" in os.environ and PRECISION in os.environ:
            return cast("Chosen", os.environ[PRECISION])
        accelerator = self.config_init[self.subcommand]["trainer"]["accelerator"]
        cuda = torch.cuda.is_available() and accelerator in {"auto", "gpu", "cuda"}
        data, device = self.datamodule, torch.device("cuda" if cuda else "cpu")
        chosen = choose_precision(self.model, data.batch_size, data.size, device)
        os.environ[PRECISION] = chosen
        return chosen

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
    """Suppress Lightning messages that do not apply here."""
    # Advertisement.
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    logger.addFilter(lambda record: "litlogger" not in record.getMessage())
    # The folder always holds the logs.
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
    # `RunRecord` chooses the interval.
    warnings.filterwarnings(
        "ignore", "The number of training batches .* is smaller than the logging interval"
    )
    # Caused by Lightning itself.
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.* is deprecated")


def _listed(option: Any) -> list[Any]:
    """Return an option with no, one or several values as a list."""
    return option if isinstance(option, list) else [] if option is None else [option]


def _plain(settings: Any) -> Any:
    """Convert parsed settings to plain JSON values."""
    return json.loads(json.dumps(settings.as_dict(), default=str))
