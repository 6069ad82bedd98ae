"""What can go wrong on the way from photos to a checkpoint.

TrainingError
├── SettingsError     an option has a value that cannot work
├── DataError         a data folder is not what it should be
└── CheckpointError   a weights file is missing, damaged or of another kind
"""


class TrainingError(Exception):
    """Root of the tree; its message says what is wrong and what would be right."""


class SettingsError(TrainingError, ValueError):
    """An option has a value that cannot work."""


class DataError(TrainingError):
    """A data folder is missing, empty, incomplete or unreadable."""


class CheckpointError(TrainingError):
    """A weights file is missing, damaged or not one of this project's."""
