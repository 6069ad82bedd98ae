"""Run the `inpaint` command as `python -m inpaint_client`."""

import sys

from .cli import main

sys.exit(main())
