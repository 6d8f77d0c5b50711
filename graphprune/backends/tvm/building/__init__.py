"""From emitted functions to machine code: building, exporting, checking bounds, and measuring kernels on this machine.

Imports: backends.tvm.kernels, backends.tvm.program, errors, files, native, runtime, targets.
"""
