"""What one line of a configuration stands for."""

from typing import Any

__all__ = ["FINETUNE", "FOLLOWING", "PRESETS"]

# What one line `model: NAME` stands for; each key can still be set by itself.
PRESETS: dict[str, dict[str, Any]] = {  # Any: values of the config's fields
    "resnet18": {
        "encoder": "resnet18",
        "decoder_channels": [256, 128, 64, 32],
        "image_height": 480,
        "image_width": 640,
    },
    "lite0": {
        "encoder": "tf_efficientnet_lite0",
        "decoder_channels": [96, 64, 48, 24],
        "image_height": 192,
        "image_width": 256,
    },
}

# Chosen by benchmarks/finetune.py: a room gains, others and NYU lose little (docs/own-data.md).
FINETUNE: dict[str, Any] = {  # Any: values of the config's fields
    "epochs": 5,
    "learning_rate": 2e-5,
    "freeze_batchnorm": True,
    "start_share": 0.5,
    "zoom_max": 1.0,
}

FOLLOWING = {*PRESETS["resnet18"], "confidence"}  # keys that `model` or `start_from` decide where they are null
