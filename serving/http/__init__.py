"""The ONNX Runtime server: the REST contract and the Open Inference Protocol over HTTP."""
