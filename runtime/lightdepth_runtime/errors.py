"""The one exception users meet: a sentence that says what was got, what is needed and what to do."""

__all__ = ["LightDepthError"]


class LightDepthError(Exception):
    """A problem the user can act on. The command line prints its text alone and exits with 1."""
