"""Export of a checkpoint to ONNX in three precisions and to a TorchServe archive, with a parity check."""
