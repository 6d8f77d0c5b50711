"""What developers of graphprune run on its source; none of it is installed."""
