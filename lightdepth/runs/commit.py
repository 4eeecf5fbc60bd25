"""Which commit of LightDepth an artifact was made with."""

import subprocess
from pathlib import Path

from lightdepth_runtime import __version__

__all__ = ["source_commit"]


def source_commit() -> str:
    """Return the git commit of the checkout this package runs from, or the released version where it is installed."""
    here = Path(__file__).parents[1]
    if not (here.parent / ".git").exists():
        return f"lightdepth {__version__}"
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"lightdepth {__version__} (git not readable)"
