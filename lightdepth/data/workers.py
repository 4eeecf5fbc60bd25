"""The loader's workers: forked from a process that imports what they need once, and none fails unnoticed."""

from __future__ import annotations

import multiprocessing.queues
import multiprocessing.util
import os
import tempfile
from multiprocessing import forkserver, get_context
from typing import NoReturn

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.parallel import end_with_parent

__all__ = ["START_METHOD", "WORKER_DIED", "start_worker", "start_worker_server"]

# Not "fork": OpenCV's thread pool, which validation starts in the training process, deadlocks in a forked child. The
# server runs no thread, so its children are safe, and they start in milliseconds.
START_METHOD = "forkserver"
# A socket's path may have 108 bytes; multiprocessing puts `/pymp-xxxxxxxx/listener-xxxxxxxx` behind the folder.
LONGEST_TEMPORARY = 70
FEEDER_FAILED = 71  # exit code of a worker that can't hand over its batch (EX_OSERR)
WORKER_DIED = (
    "A data worker died: out of memory, or of shared memory. Give a container more of it (docker run --shm-size=2g or "
    "--ipc=host), or use fewer num_workers (0 needs no shared memory) or a smaller batch_size. In a script of your own "
    'call train() under `if __name__ == "__main__":`, since workers import the script.'
)


def start_worker_server() -> None:
    """Start the server and return at once.

    In the background it imports what each worker would: the loader, OpenCV, and the program's main file.

    Raises:
        LightDepthError: no folder for its socket.
    """
    _keep_socket_paths_short()
    get_context(START_METHOD).set_forkserver_preload(["__main__", "lightdepth.data.loader", "cv2"])
    forkserver.ensure_running()


def start_worker(_worker: int) -> None:
    """Prepare a loader's worker: one OpenCV thread, since the workers are the parallelism, and no silent failure.

    It ends with the training process: PyTorch's own watch looks at the server, which lives as long as its workers.
    """
    from lightdepth_runtime.images.opencv import import_cv2

    import_cv2().setNumThreads(1)
    end_with_parent()
    # Python prints the traceback of a batch that can't be sent and goes on; the training process would wait for ever.
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(_end)  # pyright: ignore[reportAttributeAccessIssue]  # not in the stub


def _end(_error: Exception, _batch: object) -> NoReturn:
    os._exit(FEEDER_FAILED)  # sys.exit would end the queue's thread alone


def _keep_socket_paths_short() -> None:
    """Let multiprocessing put its sockets into /tmp where the temporary folder's path leaves no room for theirs."""
    if len(os.fsencode(tempfile.gettempdir())) <= LONGEST_TEMPORARY:
        return
    chosen = tempfile.tempdir
    try:
        tempfile.tempdir = "/tmp"
        multiprocessing.util.get_temp_dir()  # made once a process, and handed on to the workers
    except OSError as error:
        raise LightDepthError(
            f"The temporary folder {chosen} has too long a path for sockets, and /tmp can't be written ({error}); set "
            "TMPDIR to a shorter one, or num_workers to 0."
        ) from error
    finally:
        tempfile.tempdir = chosen
