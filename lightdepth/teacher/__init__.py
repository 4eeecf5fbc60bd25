"""Depth of a larger model as an additional target."""
