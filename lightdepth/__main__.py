"""`python -m lightdepth`: the `lightdepth` command of this interpreter."""

from .cli.app import main

if __name__ == "__main__":
    main()
