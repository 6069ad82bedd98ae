"""From artifacts to HTTP: the inpainting pipeline and the ONNX Runtime server around it."""
