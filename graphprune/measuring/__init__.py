"""How fast sessions are, which kernels take the time, and on what machine that was measured.

Imports: backends.tvm.building, errors, runtime, targets.
"""
