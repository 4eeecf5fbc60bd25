"""Image files to arrays, and arrays to what a network takes: the only pre- and post-processing of the project."""
