"""Folders of recordings: which layout they have, and which depth belongs to which image."""
