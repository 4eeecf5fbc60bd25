"""Read pairs in threads while those before are worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from .pair import FrameData, Pair

__all__ = ["read_ahead"]

WAITING_PER_READER = 2  # frames read and not yet taken: enough that no thread waits, few enough to hold in memory


def read_ahead(pairs: Sequence[Pair], readers: int) -> Generator[FrameData, None, None]:
    """Yield the frames of pairs in their order; up to `readers` of them are decoded at the same time.

    Close it to leave the rest unread. With no readers each is read when it is asked for.

    Raises:
        LightDepthError: a pair that can't be read, when it is its turn.
    """
    if readers == 0:
        yield from (pair.read() for pair in pairs)
        return
    waiting: deque[Future[FrameData]] = deque()
    executor = ThreadPoolExecutor(readers, "lightdepth-reader")
    try:
        for pair in pairs:
            waiting.append(executor.submit(pair.read))
            if len(waiting) > WAITING_PER_READER * readers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
