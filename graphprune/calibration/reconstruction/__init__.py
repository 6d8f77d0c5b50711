"""Blocks of a pruned model that are trained, a few hundred steps each, to give what the dense model's give."""
