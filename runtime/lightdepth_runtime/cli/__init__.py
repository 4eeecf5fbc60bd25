"""The commands that need no torch: infer, eval, bench, calibrate."""
