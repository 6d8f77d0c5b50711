"""What the values of a model are on real inputs, and what is made of that: models on integers of 8 bits, zeros.

Imports: analysis, backends, diagnostics, errors, files, frontends, graph, masks, passes, planning, runtime, stages,
verification.
"""
