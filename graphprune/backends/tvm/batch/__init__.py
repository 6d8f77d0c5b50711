"""Running the samples of a batch one after another, so that what one layer writes is near when the next reads it."""
