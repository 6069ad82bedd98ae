"""Exceptions of training and evaluation.

TrainingError
├── SettingsError     invalid option value
├── DataError         invalid data folder or picture
└── CheckpointError   missing, damaged or incompatible weights or checkpoint file
Stopped               training stopped by a signal, after saving its state
"""

import signal


class TrainingError(Exception):
    """Base class of all errors; the message says what is wrong and how to fix it."""


class SettingsError(TrainingError, ValueError):
    """An option has an invalid value."""


class DataError(TrainingError):
    """A data folder is missing, empty, incomplete or unreadable."""


class CheckpointError(TrainingError):
    """A weights or checkpoint file is missing, damaged or not from this project."""


def check_at_least(name: str, value: float, least: float) -> None:
    """Check a lower bound of an option.

    Raises:
        SettingsError: The value is lower.
    """
    if value < least:
        raise SettingsError(f"{name} must be at least {least}, not {value}")


class Stopped(Exception):  # noqa: N818 (not an error)
    """SIGINT or SIGTERM stopped training, after its checkpoint was written."""

    def __init__(self, received: int) -> None:
        super().__init__(f"stopped by {signal.Signals(received).name}")
        self.exit_status = 128 + received
