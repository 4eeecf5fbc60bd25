"""The models that ship with the runtime, and how a model is named."""

from .find import SHIPPED_MODEL, find_model, shipped_models

__all__ = ["SHIPPED_MODEL", "find_model", "shipped_models"]
