"""`python -m lightdepth_runtime infer|eval|bench`: the commands that need no torch."""

try:
    from .cli.app import main
except ModuleNotFoundError as error:
    raise SystemExit(
        f'The command line needs {error.name}; install it with: pip install "lightdepth-runtime[cpu]"'
    ) from error

if __name__ == "__main__":
    main()
