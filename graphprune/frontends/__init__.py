"""Import and export: ONNX files and torch modules.

Imports: analysis, errors, files, graph, masked, masks, passes, stages.
"""
