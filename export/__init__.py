"""From a checkpoint to artifacts: ONNX in three precisions, the TorchServe archive, and the parity gate."""
