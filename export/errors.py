"""Exceptions of the export.

ExportError
├── ArtifactError   missing, damaged or unsuitable artifact
└── ParityError     an artifact's results differ from the PyTorch model's
"""


class ExportError(Exception):
    """Base class of all errors; the message says what is wrong and how to fix it."""


class ArtifactError(ExportError):
    """An artifact is missing, damaged or unsuitable for the operation."""


class ParityError(ExportError):
    """An artifact's results differ from the PyTorch model's."""
