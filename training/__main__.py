"""`python -m training fit|evaluate|weights|average`."""

from __future__ import annotations

import sys

from training.errors import TrainingError

USAGE = """usage: python -m training COMMAND [options]

  fit       train a network:            --config training/configs/default.yaml
  evaluate  measure it on pictures:     WEIGHTS --data FOLDER
  weights   take a run's best weights:  RUN
  average   take the mean of several:   WEIGHTS WEIGHTS -o FILE

`python -m training COMMAND --help` lists each command's options."""


def main(argv: list[str]) -> int:
    """Run one command and return its exit status."""
    command, rest = (argv[0], argv[1:]) if argv else ("", [])
    try:
        if command == "fit":
            from training.fit import FitCommand

            FitCommand()  # Lightning reads the command line itself
        elif command == "evaluate":
            from training import evaluate

            evaluate.main(rest)
        elif command == "average":
            from training import average

            average.main(rest)
        elif command == "weights" and len(rest) == 1 and not rest[0].startswith("-"):
            from pathlib import Path

            from training.callbacks import write_best

            write_best(Path(rest[0]))
        else:
            asked_for = not {"-h", "--help"}.isdisjoint(argv)
            print(USAGE, file=sys.stdout if asked_for else sys.stderr)
            return 0 if asked_for else 2
    except (TrainingError, OSError) as error:  # OSError: an output that cannot be written
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
