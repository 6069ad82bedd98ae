"""`python -m serving`: start the ONNX Runtime server."""

import sys

from serving.http.supervisor import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
