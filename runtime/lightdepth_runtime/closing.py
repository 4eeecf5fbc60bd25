"""What every object that holds a device, a file or a thread has in common: `with` closes it."""

from abc import ABC, abstractmethod
from typing import TypeVar

__all__ = ["Closing"]

_Self = TypeVar("_Self", bound="Closing")  # typing.Self came with Python 3.11


class Closing(ABC):
    """Make a class with `close` a context manager that closes at the end, error or not."""

    @abstractmethod
    def close(self) -> None:
        """Free what is held."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
