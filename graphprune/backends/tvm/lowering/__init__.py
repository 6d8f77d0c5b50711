"""From a prepared graph to calls of kernels: fusion of nodes, plan of memory layouts, and the walk that emits.

Imports: backends.tvm.building, backends.tvm.kernels, errors, packed, runtime.
"""
