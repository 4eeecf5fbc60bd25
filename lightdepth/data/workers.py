"""The process that data workers are forked from: it imports what they need once, while the training sets itself up."""

from multiprocessing import forkserver, get_context

__all__ = ["START_METHOD", "limit_worker_threads", "start_worker_server"]

# Not "fork": OpenCV's thread pool, which validation starts in the training process, deadlocks in a forked child. The
# server runs no thread, so its children are safe, and they start in milliseconds.
START_METHOD = "forkserver"


def start_worker_server() -> None:
    """Start the server and return at once; it imports the loader in the background."""
    get_context(START_METHOD).set_forkserver_preload(["lightdepth.data.loader"])
    forkserver.ensure_running()


def limit_worker_threads(_worker: int) -> None:
    """Keep OpenCV in a loader's worker to one thread: the workers are the parallelism."""
    from lightdepth_runtime.images.opencv import import_cv2

    import_cv2().setNumThreads(1)
