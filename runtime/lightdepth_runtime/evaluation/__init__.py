"""Protocols, metrics and scores of a model on RGB-D pairs."""
