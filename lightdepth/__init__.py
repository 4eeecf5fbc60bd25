"""Train a small metric depth network on RGB-D recordings, export it, and compare it honestly.

A name is imported from its module when it is first used: PyTorch loads only where a network is needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from .config import TrainConfig, load_config
    from .network.model import LightDepth
    from .training.train import train

__all__ = [
    "Checkpoint",
    "LightDepth",
    "TrainConfig",
    "__version__",
    "load_checkpoint",
    "load_config",
    "save_checkpoint",
    "train",
]

_MODULES = {
    ".checkpoints.checkpoint": ("Checkpoint", "load_checkpoint", "save_checkpoint"),
    ".config": ("TrainConfig", "load_config"),
    ".network.model": ("LightDepth",),
    ".training.train": ("train",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
