"""Train a small metric depth network on RGB-D recordings, export it, and compare it honestly."""

__version__ = "0.1.0"
