"""`python -m serving.batch`: fill a folder of photos."""

import sys

from serving.batch.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
