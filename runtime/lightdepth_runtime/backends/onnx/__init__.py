"""ONNX Runtime on CPU and CUDA."""
