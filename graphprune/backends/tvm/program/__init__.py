"""The program of a model: its calls of kernels, the arena that they share, and the one function that makes them.

Imports: backends.tvm.kernels.
"""
