"""The TVM backend for CPUs: sparse and dense kernels of our own, lowered to one function a model and linked.

Imports: backends, backends.tvm.batch, backends.tvm.building, backends.tvm.kernels, backends.tvm.lowering,
backends.tvm.operators, backends.tvm.pieces, backends.tvm.program, backends.tvm.rewrites, errors, runtime, targets.
"""
