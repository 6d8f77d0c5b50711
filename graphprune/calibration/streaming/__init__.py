"""A model on samples, layer by layer: what each multiplies, with what lies before it as it is by then."""
