"""Ways in and out: ONNX files and torch modules."""
