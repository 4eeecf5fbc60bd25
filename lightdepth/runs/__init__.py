"""A run's folder, its state for resuming, and the table of runs."""
