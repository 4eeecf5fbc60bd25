"""Models scored on the same pairs, with pictures side by side."""
