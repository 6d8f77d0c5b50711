"""Loading and running compiled code: needs TVM's runtime library of a few megabytes, never its compiler.

Imports: errors, files, targets.
"""
