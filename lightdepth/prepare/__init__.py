"""Data before training: check, pack, read from recordings, label."""
