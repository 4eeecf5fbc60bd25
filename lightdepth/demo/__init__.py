"""The whole line on pairs that ship with the project."""
