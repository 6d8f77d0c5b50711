"""What the values of a model are on real inputs, and what is made of that: models on integers of 8 bits.

Imports: analysis, backends, diagnostics, errors, files, frontends, graph, passes, runtime, verification.
"""
