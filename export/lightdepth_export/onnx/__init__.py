"""A network as ONNX files: FP32, FP16, INT8, and with preprocessing inside."""
