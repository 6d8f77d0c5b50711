"""Models that have no kernel for some nodes: cut into pieces of code, and pieces that ONNX Runtime runs between them.

Imports: backends.tvm.program, errors, graph, packed, passes, runtime.
"""
