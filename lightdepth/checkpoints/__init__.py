"""Weights on disk with their ModelSpec, and a runtime backend that runs them in PyTorch."""
