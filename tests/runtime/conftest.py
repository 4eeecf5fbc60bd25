"""What the runtime's tests need beside the runtime."""

from importlib.util import find_spec
from pathlib import Path

# Some trace a network, which needs lightdepth and PyTorch. `.ci/run` also runs the others where only the runtime is.
collect_ignore = [
    str(path)
    for path in Path(__file__).parent.rglob("test_*.py")
    if not find_spec("torch") and "\nimport torch\n" in path.read_text(encoding="utf-8")
]
