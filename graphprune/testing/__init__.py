"""Test helpers for passes and models; shipped, because users write passes too.

Imports: backends, errors, files, frontends, graph, masked, packed, passes, runtime, stages, verification.
"""
