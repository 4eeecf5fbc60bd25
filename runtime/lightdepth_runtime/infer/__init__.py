"""Depth of images, folders, videos, cameras and recordings: what `infer` does."""
