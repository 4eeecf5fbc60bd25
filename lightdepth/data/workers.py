"""The loader's workers: forked from a process that imports what they need once, and none fails unnoticed."""

from __future__ import annotations

import multiprocessing.queues
import os
from typing import NoReturn

from lightdepth_runtime.parallel import MAIN_GUARD, end_with_parent, worker_context

__all__ = ["START_METHOD", "WORKER_DIED", "start_worker", "start_worker_server"]

# Not "fork": OpenCV's thread pool, which validation starts in the training process, deadlocks in a forked child. The
# server runs no thread, so its children are safe, and they start in milliseconds.
START_METHOD = "forkserver"
FEEDER_FAILED = 71  # exit code of a worker that can't hand over its batch (EX_OSERR)
WORKER_DIED = (
    "A data worker died: out of memory, or of shared memory. Give a container more of it (docker run --shm-size=2g or "
    f"--ipc=host), or use fewer num_workers (0 needs no shared memory) or a smaller batch_size. {MAIN_GUARD}"
)


def start_worker_server(workers: int = 1) -> None:
    """Start the server of a number of workers and return at once.

    In the background it imports what each worker would: the loader, OpenCV, and the program's main file.

    Raises:
        LightDepthError: no worker can start here; see `parallel.worker_context`.
    """
    # A queue for each worker's tasks, and one for what all bring.
    worker_context(queues=workers + 1, preload=("__main__", "lightdepth.data.loader", "cv2"))


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
