"""ONNX Runtime's own operators, which its optimiser and quantizers write, as operators of ONNX."""
