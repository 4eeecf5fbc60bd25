"""Frames of a stream, and the cameras and videos that they come from."""
