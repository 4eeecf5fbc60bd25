"""What runs a network: one small Protocol, and the backends that fulfil it."""

from .backend import Backend
from .fake import FakeBackend
from .open import open_backend

__all__ = ["Backend", "FakeBackend", "open_backend"]
