"""The TVM backend for CPUs: sparse and dense kernels of our own, memory planning and the virtual machine of Relax.

Imports: backends, backends.tvm.batch, backends.tvm.building, backends.tvm.kernels, backends.tvm.lowering,
backends.tvm.operators, backends.tvm.rewrites, errors, runtime, targets.
"""
