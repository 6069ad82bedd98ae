"""`python -m training fit|evaluate|weights|average|mask|marks|locate|shards`."""

from __future__ import annotations

import sys

from training.errors import Stopped, TrainingError

USAGE = """usage: python -m training COMMAND [options]

  fit       train a network:                   --config training/configs/default.yaml
  evaluate  measure its quality on pictures:   WEIGHTS --data FOLDER
  weights   export a run's best weights:       RUN
  average   average several weights files:     WEIGHTS WEIGHTS -o FILE
  mask      save masked pictures and masks:    FOLDER -o FOLDER
  marks     train the network that finds marks: --data FOLDER -o WEIGHTS
  locate    train the network that finds faces: --data FOLDER -o WEIGHTS
  shards    pack pictures into tar files:      FOLDER -o FOLDER

`python -m training COMMAND --help` lists each command's options."""


def main(argv: list[str]) -> int:
    """Run one command and return its exit status."""
    command, rest = (argv[0], argv[1:]) if argv else ("", [])
    try:
        if command == "fit":
            from training.fit import FitCommand

            FitCommand()  # Lightning reads sys.argv
        elif command == "evaluate":
            from training import evaluate

            evaluate.main(rest)
        elif command == "average":
            from training import average

            average.main(rest)
        elif command == "mask":
            from training import mask_folder

            mask_folder.main(rest)
        elif command == "marks":
            from training import marks

            marks.main(rest)
        elif command == "locate":
            from training import locate

            locate.main(rest)
        elif command == "shards":
            from training import pack

            pack.main(rest)
        elif command == "weights" and len(rest) == 1 and not rest[0].startswith("-"):
            from pathlib import Path

            from training.callbacks import write_weights

            write_weights(Path(rest[0]))
        else:
            asked_for = not {"-h", "--help"}.isdisjoint(argv)
            print(USAGE, file=sys.stdout if asked_for else sys.stderr)
            return 0 if asked_for else 2
    except (TrainingError, OSError) as error:  # OSError: an output cannot be written
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Stopped as stop:
        print(f"{stop}; resume with `--ckpt_path last`", file=sys.stderr)
        return stop.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
