# SPDX-License-Identifier: Apache-2.0
"""The inpainting pipeline, from exported models to HTTP, and the ONNX Runtime server around it."""

import os

# From 1.29 on, ONNX Runtime sends telemetry about what it runs to Microsoft unless this is set first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
