"""Helpers for ONNX graphs that every room uses: nodes, their names in messages, functions of the domain `graphprune`.

Imports: errors.
"""
