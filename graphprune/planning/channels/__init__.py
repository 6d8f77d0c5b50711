"""Plans of whole channels: what a recipe says of them, which groups it means, and how many channels of each go."""
