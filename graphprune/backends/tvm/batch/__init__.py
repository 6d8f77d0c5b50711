"""Running the samples of a batch one after another, so that what one layer writes is near when the next reads it.

Imports: analysis, backends.tvm.kernels, backends.tvm.lowering, backends.tvm.operators, packed, runtime.
"""
