# SPDX-License-Identifier: Apache-2.0
"""From artifacts to HTTP: the inpainting pipeline and the ONNX Runtime server around it."""

import os

# From 1.29 on, ONNX Runtime reports what it runs to its maker, unless told not to before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
