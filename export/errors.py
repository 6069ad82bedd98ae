"""What can go wrong on the way from a checkpoint to artifacts.

ExportError
├── ArtifactError   an artifact is missing, damaged or lacks what its use needs
└── ParityError     an artifact computes something other than the PyTorch model
"""


class ExportError(Exception):
    """Root of the tree; its message says what is wrong and what would be right."""


class ArtifactError(ExportError):
    """An artifact is missing, damaged or lacks what its use needs."""


class ParityError(ExportError):
    """An artifact computes something other than the PyTorch model."""
