"""The REST contract on Ray Serve: each replica is a whole ONNX Runtime server."""
