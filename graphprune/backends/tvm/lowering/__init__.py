"""From a prepared graph to calls of kernels: fusion of nodes, plan of memory layouts, and the walk that emits.

Imports: backends.tvm.building, backends.tvm.kernels, backends.tvm.program, errors, packed, runtime.
"""
