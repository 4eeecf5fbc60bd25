"""TensorRT and TensorRT-RTX: engines, the JSON beside them, and how they run."""
