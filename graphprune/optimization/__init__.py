"""From a file to the fastest file within a bound: what is tried, how good and fast it is, and what is recommended.

Imports: allocation, analysis, backends, backends.tvm.building, calibration, compiler, diagnostics, errors, files,
frontends, graph, masks, measuring, passes, planning, reporting, runtime, stages, targets, verification.
"""
