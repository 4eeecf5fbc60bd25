"""Fit a model's depth to one camera, and write the fit into the model's file."""
