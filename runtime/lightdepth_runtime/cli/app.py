"""The commands that need no torch, for `python -m lightdepth_runtime` and for `lightdepth` alike."""

import errno
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from .. import __version__
from ..errors import LightDepthError
from ..processes import refuse_launcher
from .bench import bench_command
from .calibrate import calibrate_command
from .evaluate import eval_command
from .infer import infer_command
from .options import Debug

__all__ = ["Command", "OneProcessCommand", "add_command", "app", "main", "make_app", "run_app"]

DEBUG = "--debug"
FULL = {errno.ENOSPC, errno.EDQUOT}
CLOSED = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}  # of a path that nobody could use


class _PlainTypes:
    """Shows no type in the help of flags, which take no value, and of arguments, whose name says what they are."""

    def get_params(self, ctx: Any) -> list[Any]:  # Any: Typer's context and parameters, whose home moves by version
        """Return the parameters."""
        params = super().get_params(ctx)  # pyright: ignore[reportAttributeAccessIssue]  # of the class beside
        for param in params:
            if getattr(param, "is_flag", False) and param.metavar is None:
                param.metavar = ""
            elif param.param_type_name == "argument":
                param.display_type_rich = lambda ctx: None  # noqa: ARG005  # Typer passes it by name
        return params


class Command(_PlainTypes, TyperCommand):
    """A command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Any: as above
        """Parse the arguments; an error's text is ours, without the words that pydantic puts before it."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise


class OneProcessCommand(Command):
    """A command that can't share its work with processes of a launcher."""

    def invoke(self, ctx: Any) -> Any:  # Any: as above
        """Run it, unless a launcher started several."""
        refuse_launcher()
        return super().invoke(ctx)


class Group(_PlainTypes, TyperGroup):
    """A group of commands; groups inside it come before its commands, as data comes before training."""

    def list_commands(self, ctx: Any) -> list[str]:  # Any: as above
        """Return the names in the order of the help page."""
        return sorted(super().list_commands(ctx), key=lambda name: not isinstance(self.commands[name], TyperGroup))


def make_app(text: str, *, is_root: bool = True) -> typer.Typer:
    """Return a Typer app; the root has `--version`, `--debug` and shell completion."""
    app = typer.Typer(
        cls=Group, help=text, no_args_is_help=True, add_completion=is_root, pretty_exceptions_enable=False
    )
    if not is_root:
        app.callback(help=text)(lambda: None)
        return app

    def show_version(value: bool) -> None:
        if value:
            print(__version__)
            raise typer.Exit

    @app.callback(help=text)
    def options(
        debug: Debug = False,
        version: Annotated[
            bool,
            typer.Option("--version", help="Show the version and exit.", callback=show_version, is_eager=True),
        ] = False,
    ) -> None:
        """Take what `run_app` and the callback of `--version` read."""

    return app


def add_command(
    app: typer.Typer, name: str, command: Callable[..., None], panel: str, cls: type[Command] = Command
) -> None:
    """Add a command under a panel of the app's help; commands are listed in the order in which they are added."""
    app.command(name, cls=cls, rich_help_panel=panel)(command)


def run_app(app: typer.Typer) -> None:
    """Run an app and exit: 0 if it worked, 1 with one line on stderr, 2 for a wrong argument, 130 if interrupted."""
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    is_debugging = DEBUG in words[:end]
    try:
        try:
            app([word for word in words[:end] if word != DEBUG] + words[end:])
        finally:
            sys.stdout.flush()  # here, since what fails when Python ends can't be told
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read it has gone, as `| head` does
        _drop_output()
        sys.exit(1)
    except Exception as error:  # the outermost layer: whatever went wrong is one line, unless asked for more
        if is_debugging:
            raise
        text = " ".join(str(error).split())
        if isinstance(error, OSError) and error.errno in FULL:
            what = error.filename or "what is printed, or a temporary file (TMPDIR)"
            text = f"Can't write {what}: {error.strerror}. Free some space."
            if error.filename is None:
                _drop_output()
        elif isinstance(error, OSError) and error.errno in CLOSED and error.filename is not None:
            text = f"Can't open {error.filename}: {error.strerror}. Name another path, or let this user open it."
        elif not isinstance(error, LightDepthError):
            text = f"unexpected {type(error).__name__} ({text}); add --debug for the traceback, and report it."
        print(f"Error: {text}", file=sys.stderr)
        sys.exit(1)


def _drop_output() -> None:
    """Let Python's own last flush of what can't be printed succeed; it would change the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = make_app("Metric depth without PyTorch: score a model, time it, run it, calibrate it.")
add_command(app, "eval", eval_command, "Judge")
add_command(app, "bench", bench_command, "Judge", OneProcessCommand)
add_command(app, "infer", infer_command, "Use", OneProcessCommand)
add_command(app, "calibrate", calibrate_command, "Use", OneProcessCommand)


def main() -> None:
    """Run `python -m lightdepth_runtime`."""
    run_app(app)
