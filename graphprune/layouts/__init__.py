"""Physical layouts of sparse weights, one a file, NumPy only.

Imports: errors.
"""
