# SPDX-License-Identifier: Apache-2.0
"""Export of a checkpoint to ONNX in three precisions and to a TorchServe archive, with a parity check."""
