"""Proof that an exported file computes what the network computed."""
