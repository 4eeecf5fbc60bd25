"""The training configuration: defaults < `config.yaml` < flags, checked before anything is loaded."""

from .file import describe_config, load_config
from .keys import ExtraData, TrainConfig, check_config
from .presets import FINETUNE, PRESETS

__all__ = ["FINETUNE", "PRESETS", "ExtraData", "TrainConfig", "check_config", "describe_config", "load_config"]
