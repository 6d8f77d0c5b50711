"""Backends, which compile a model to a session: their protocol and registry (`base`), and one module or folder each.

Imports: errors, files, frontends, runtime, targets.
"""
