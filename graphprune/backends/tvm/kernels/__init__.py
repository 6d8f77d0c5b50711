"""TIR kernels: one computation a file, specialised on static shapes.

Imports: layouts.
"""
