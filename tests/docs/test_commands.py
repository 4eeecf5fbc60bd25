"""Every command in README and docs is one that there is, with options that it has."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from lightdepth.cli.app import app
from lightdepth_runtime.cli.app import app as runtime_app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("runtime/lightdepth_runtime/models/*.md")]
)
PROGRAMS = {"lightdepth": app, "lightdepth-runtime": runtime_app}


def commands(page):
    """Yield the words of each command that a block of code gives to one of our programs."""
    text = page.read_text().replace("\\\n", " ")
    for line in re.findall(r"^    (.*)$", text, re.MULTILINE):
        for part in re.split(r"&&|\|\|", re.sub(r"\s+#.*", "", line)):
            words = shlex.split(part)
            if words and words[0] in PROGRAMS:
                yield words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_exists_and_has_its_options(page):
    for words in commands(page):
        command, rest = typer.main.get_command(PROGRAMS[words[0]]), words[1:]
        while rest and hasattr(command, "commands"):
            assert rest[0] in command.commands, words
            command, rest = command.commands[rest[0]], rest[1:]
        known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        unknown = [word for word in rest if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]
        assert not unknown, words


def test_there_are_commands_to_check():
    assert sum(len(list(commands(page))) for page in PAGES) > 60
