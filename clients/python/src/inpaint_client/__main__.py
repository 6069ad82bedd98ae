"""`python -m inpaint_client`: the same as the command `inpaint`."""

import sys

from .cli import main

sys.exit(main())
