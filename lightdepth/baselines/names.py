"""The baselines that are known by name: known without PyTorch, which takes seconds to import."""

__all__ = ["DEPTH_ANYTHING_SMALL", "HUB_REPOSITORIES"]

DEPTH_ANYTHING_SMALL = "depth-anything-v2-small"
# Names on the command line, and where their weights are. Base and Large are licensed CC BY-NC 4.0, Small Apache-2.0.
HUB_REPOSITORIES = {
    DEPTH_ANYTHING_SMALL: "depth-anything/Depth-Anything-V2-Small-hf",
    "depth-anything-v2-base": "depth-anything/Depth-Anything-V2-Base-hf",
    "depth-anything-v2-large": "depth-anything/Depth-Anything-V2-Large-hf",
    "depth-anything-v2-metric-indoor-small": "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf",
    "depth-anything-v2-metric-indoor-base": "depth-anything/Depth-Anything-V2-Metric-Indoor-Base-hf",
    "depth-anything-v2-metric-indoor-large": "depth-anything/Depth-Anything-V2-Metric-Indoor-Large-hf",
}
