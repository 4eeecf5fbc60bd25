"""Latency, memory and power of models, interleaved in one run."""
