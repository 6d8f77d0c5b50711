"""Running compiled code: needs TVM's runtime library of a few megabytes, never its compiler."""
