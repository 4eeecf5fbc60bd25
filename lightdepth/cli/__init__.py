"""The command line of `lightdepth`."""
