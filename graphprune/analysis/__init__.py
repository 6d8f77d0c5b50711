"""What a model is made of: weights, sparsity, cost."""
