"""Check that the files a list names are there before hours of work begin."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import LightDepthError
from .depth_png import FilePair

__all__ = ["check_all_exist"]


def check_all_exist(pairs: Sequence[FilePair], listing: Path) -> None:
    """Refuse a listing whose files are missing; name the first and count the rest."""
    missing = [path for pair in pairs for path in (pair.color_path, pair.depth_path) if not path.is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more of {2 * len(pairs)} files)" if len(missing) > 1 else ""
        raise LightDepthError(
            f"{listing} names {missing[0]}, which doesn't exist{more}. Restore the files or remove their rows."
        )
