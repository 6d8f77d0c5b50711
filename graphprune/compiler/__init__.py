"""From a model to a session, or to an operator of ONNX Runtime: shapes fixed, normalised, handed to a backend.

Imports: analysis, backends, backends.tvm, diagnostics, errors, files, graph, native, passes, runtime, stages, targets.
"""
