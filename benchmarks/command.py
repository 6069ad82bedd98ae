"""Exit statuses of the benchmark commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.processes import ServerFailedError
from export.errors import ExportError
from serving.core.errors import InpaintError
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable


def exit_status(work: Callable[[], None]) -> int:
    """Do a command's work and return its exit status; an expected error is printed as one line on stderr."""
    try:
        work()
    except InpaintError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    except (ServerFailedError, TrainingError, ExportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
