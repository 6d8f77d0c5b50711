"""How zeros are shared out over layers: what they cost in accuracy, what they gain in time, the best within a bound.

Imports: analysis, backends, calibration, compiler, errors, files, graph, masks, measuring, passes, planning.
"""
