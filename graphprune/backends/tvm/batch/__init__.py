"""Running a batch sample by sample, so that what one layer writes is still in cache when the next layer reads it.

Imports: analysis, backends, backends.tvm.kernels, backends.tvm.lowering, backends.tvm.operators, packed, passes,
runtime.
"""
