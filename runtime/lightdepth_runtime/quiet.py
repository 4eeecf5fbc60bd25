"""Keep OpenCV's own log lines off the terminal while an error of ours says the same."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .images import import_cv2

__all__ = ["quiet_cv2"]

_SILENT = 0
_lock = threading.Lock()  # the level is one for the whole process: two at a time would restore each other's silence


@contextmanager
def quiet_cv2() -> Iterator[None]:
    """Silence OpenCV's logging in this block and restore its level after it."""
    cv2 = import_cv2()
    logging = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # OpenCV 4 and 5
    with _lock:
        level = logging.getLogLevel()
        logging.setLogLevel(_SILENT)
        try:
            yield
        finally:
            logging.setLogLevel(level)
