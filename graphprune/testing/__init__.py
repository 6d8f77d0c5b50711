"""What is needed to test passes and models; shipped, because users write passes too."""
