"""docs/architecture.md names every room of the three distributions, and none that isn't there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("runtime/lightdepth_runtime", "export/lightdepth_export", "lightdepth")


def test_the_architecture_page_names_every_room():
    rooms = {path.parent.name for package in PACKAGES for path in (ROOT / package).glob("*/__init__.py")}
    table = (ROOT / "docs" / "architecture.md").read_text().partition("## Rooms")[2]
    named = {name for row in re.findall(r"^\|([^|]*)\|", table, re.MULTILINE) for name in re.findall(r"`(\w+)/`", row)}
    assert named == rooms
