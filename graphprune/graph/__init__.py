"""What every room asks of an ONNX graph: its nodes, their names in messages, and functions of the domain `graphprune`.

Imports: errors.
"""
