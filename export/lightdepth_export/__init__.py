"""Export a depth network to ONNX in the precision asked for, with proof of what it computes."""

__version__ = "0.1.0"
