"""`python -m lightdepth_runtime` and `lightdepth-runtime`: the commands that need no torch."""


def main() -> None:
    """Run the command line, or say what it needs."""
    try:
        from .cli.app import main as run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        raise SystemExit(
            f"The command line needs {error.name}; install what it needs with: pip install typer rich"
        ) from error
    run()


if __name__ == "__main__":
    main()
