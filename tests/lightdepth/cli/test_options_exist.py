"""Every option that a help text, an error or a document names exists."""

import ast
import re
from pathlib import Path

import pytest
import typer

from lightdepth.cli.app import app
from lightdepth_runtime.cli.app import app as runtime_app

ROOT = Path(__file__).parents[3]
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
# Options of other programs that texts name.
OTHERS = {
    "--nproc_per_node", "--standalone", "--num_processes",  # torchrun, accelerate
    "--query-gpu", "--format", "--interval", "--shm-size", "--ipc",  # nvidia-smi, tegrastats, docker
    "--packages-select",  # colcon
    "--debug", "--version", "--help", "--install-completion", "--show-completion",
}  # fmt: skip


def options_of(command):
    names = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    for inner in getattr(command, "commands", {}).values():
        names |= options_of(inner)
    return {name for name in names if name.startswith("--")}


@pytest.fixture(scope="module")
def known():
    engine = (ROOT / "export/lightdepth_export/engine.py").read_text()
    declared = set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', engine))
    apps = (typer.main.get_command(app), typer.main.get_command(runtime_app))
    return OTHERS.union(declared, *(options_of(command) for command in apps))


def texts():
    """Yield each text of the sources, and each line of the documents that calls our commands."""
    for package in ("runtime/lightdepth_runtime", "export/lightdepth_export", "lightdepth"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            if "lightdepth" in line and not re.search(r"\b(pip|docker|python benchmarks|torchrun)\b", line):
                yield f"{path.name}:{number}", line


def test_every_option_that_a_text_names_exists(known):
    unknown = [f"{place}: {name}" for place, text in texts() for name in OPTION.findall(text) if name not in known]
    assert not unknown, "\n".join(unknown)


def test_help_lists_commands_in_the_order_of_the_work():
    names = typer.main.get_command(app).list_commands(None)
    order = ["data", "train", "eval", "export", "bench", "compare", "infer", "calibrate"]
    assert [name for name in names if name in order] == order


def test_help_texts_name_every_kind_and_protocol():
    from lightdepth_runtime.evaluation.protocol import PROTOCOLS
    from lightdepth_runtime.sinks.open import SAVE_KINDS, SPAN_KINDS

    commands = typer.main.get_command(runtime_app).commands
    helps = {param.name: param.help for command in commands.values() for param in command.params if param.opts}
    assert all(re.search(rf"\b{name}\b", helps["protocol"]) for name in PROTOCOLS)
    assert all(re.search(rf"\b{name}\b", helps["save"]) for name in [*SAVE_KINDS, *SPAN_KINDS])


def test_every_option_of_every_command_has_a_help_text_that_names_its_default():
    def check(command, path):
        for inner in getattr(command, "commands", {}).values():
            check(inner, f"{path} {inner.name}")
        for param in command.params:
            if param.param_type_name != "option" or param.opts[0] in OTHERS:
                continue
            text = param.help or ""
            shown = param.required or (param.show_default and param.default is not None and param.default is not False)
            assert text, f"{path} {param.opts[0]}"
            assert shown or "Default:" in text, f"{path} {param.opts[0]}: {text}"

    check(typer.main.get_command(app), "lightdepth")
