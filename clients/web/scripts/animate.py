"""Join screenshots into an animated WebP file.

    python animate.py FOLDER OUTPUT

The folder has the frames as `NUMBER-MILLISECONDS.png`: their order, and how long each is shown.
"""

import sys
from pathlib import Path

from PIL import Image

QUALITY = 80


def animate(folder: Path, output: Path) -> None:
    """Write the frames of a folder to `output`. It loops forever."""
    files = sorted(folder.glob("*.png"))
    first, *others = [Image.open(file).convert("RGB") for file in files]
    durations = [int(file.stem.split("-")[1]) for file in files]
    first.save(
        output, save_all=True, append_images=others, duration=durations, loop=0, quality=QUALITY, method=6
    )


if __name__ == "__main__":
    animate(*map(Path, sys.argv[1:]))
