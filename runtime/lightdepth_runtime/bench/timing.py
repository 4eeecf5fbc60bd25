"""Time several callables against each other, so that a slow moment of the machine hits all of them."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Samples", "Schedule", "time_interleaved"]

# Idle worker threads of one backend spin for a moment; without a pause they would steal the next one's cores.
SETTLE_S = 0.02


@dataclass(frozen=True)
class Schedule:
    """How often to run: a round gives every callable one turn of at least `turn_ms`."""

    rounds: int = 15
    warm_up_calls: int = 3
    turn_ms: float = 150.0


@dataclass(frozen=True)
class Samples:
    """Wall-clock milliseconds of every timed call, by round."""

    rounds_ms: tuple[tuple[float, ...], ...]

    @property
    def calls(self) -> int:
        """How many calls were timed."""
        return sum(map(len, self.rounds_ms))

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile over all calls, by linear interpolation."""
        return float(np.percentile(np.concatenate([np.asarray(r) for r in self.rounds_ms]), percent))

    def round_medians_ms(self) -> list[float]:
        """Return each round's median: neighbours in time, which is what ratios are made of."""
        return [float(np.median(r)) for r in self.rounds_ms]


def time_interleaved(
    calls: Sequence[Callable[[], object]],
    schedule: Schedule,
    *,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[range], Iterable[int]] = iter,
) -> list[Samples]:
    """Time every callable in turns; the order of the turns is reversed every other round.

    Each callable returns only when its work is done (a device is synchronised inside). The first call of a turn is not
    timed: it refills the caches that the others emptied.

    Args:
        calls: what to time.
        schedule: warm-up and rounds.
        clock: seconds, for tests.
        progress: wraps the round numbers to show progress.
    """
    repeats = [_repeats(call, schedule, clock) for call in calls]
    rounds: list[list[tuple[float, ...]]] = [[] for _ in calls]
    for number in progress(range(schedule.rounds)):
        order = range(len(calls)) if number % 2 == 0 else reversed(range(len(calls)))
        for index in order:
            time.sleep(SETTLE_S)
            calls[index]()
            rounds[index].append(tuple(_time_ms(calls[index], clock) for _ in range(repeats[index])))
    return [Samples(tuple(r)) for r in rounds]


def _repeats(call: Callable[[], object], schedule: Schedule, clock: Callable[[], float]) -> int:
    """Warm up, and return how many calls fill a turn."""
    for _ in range(schedule.warm_up_calls):
        call()
    fastest_ms = _time_ms(call, clock)
    return max(1, math.ceil(schedule.turn_ms / max(fastest_ms, 1e-3)))


def _time_ms(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return (clock() - start) * 1e3
