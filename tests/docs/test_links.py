"""Links in README and docs lead somewhere; code in them imports public names alone; tables are whole."""

import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / name / "README.md" for name in ("runtime", "export", "benchmarks")),
        *(ROOT / "runtime" / "lightdepth_runtime" / "models").glob("*.md"),
    ]
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PUBLIC_MODULES = {"lightdepth", "lightdepth_runtime", "lightdepth_export.engine"}


@lru_cache
def anchors(page):
    """GitHub's anchors: the heading in lower case, blanks as hyphens, punctuation left out."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page):
    for target in LINK.findall(page.read_text()):
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_script_and_file_that_a_command_names_exists(page):
    for name in re.findall(r"\b((?:benchmarks|examples)/[\w/]+\.(?:py|txt|json|png))\b", page.read_text()):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_in_a_page_imports_public_names_alone(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        for module in re.findall(r"^\s*(?:from|import) (lightdepth[\w.]*)", block, re.MULTILINE):
            assert module in PUBLIC_MODULES, module


def test_examples_import_public_names_alone():
    for file in (ROOT / "examples").glob("*.py"):
        for module in re.findall(r"^\s*(?:from|import) (lightdepth[\w.]*)", file.read_text(), re.MULTILINE):
            assert module in PUBLIC_MODULES, f"{file.name}: {module}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_table_has_a_head_and_as_many_cells_in_each_row(page):
    """GitHub shows rows that are cut off from their head as plain text."""
    for table in re.findall(r"(?:^\|.*\n)+", page.read_text(), re.MULTILINE):
        rows = table.splitlines()
        assert len(rows) > 2, rows[0]
        assert re.fullmatch(r"\|(?::?-+:?\|)+", rows[1]), rows[0]
        cells = [re.sub(r"`[^`]*`|\\\|", "", row).count("|") for row in rows]
        assert set(cells) == {cells[0]}, rows[cells.index(max(cells))]
