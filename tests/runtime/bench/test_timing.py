from lightdepth_runtime.bench.timing import Samples, Schedule, time_interleaved


class FakeClock:
    """Seconds that pass only when work is done."""

    def __init__(self):
        self.now_s = 0.0
        self.log = []

    def __call__(self):
        return self.now_s

    def work(self, name, seconds):
        def call():
            self.log.append(name)
            self.now_s += seconds

        return call


def test_each_callable_is_timed_with_its_own_duration():
    clock = FakeClock()
    schedule = Schedule(rounds=2, warm_up_calls=1, turn_ms=10)
    slow, fast = time_interleaved([clock.work("a", 0.04), clock.work("b", 0.002)], schedule, clock=clock)
    assert abs(slow.percentile_ms(50) - 40) < 1e-6
    assert abs(fast.percentile_ms(99) - 2) < 1e-6


def test_a_fast_callable_gets_as_many_calls_as_fill_a_turn():
    clock = FakeClock()
    schedule = Schedule(rounds=3, warm_up_calls=1, turn_ms=10)
    slow, fast = time_interleaved([clock.work("a", 0.04), clock.work("b", 0.002)], schedule, clock=clock)
    assert slow.calls == 3
    assert fast.calls == 15


def test_the_order_is_reversed_every_other_round():
    clock = FakeClock()
    time_interleaved([clock.work("a", 1), clock.work("b", 1)], Schedule(3, 0, 1), clock=clock)
    warm_up, timed = clock.log[:2], clock.log[2:]
    assert warm_up == ["a", "b"]
    # A turn is one untimed call and one timed one.
    assert timed == ["a", "a", "b", "b", "b", "b", "a", "a", "a", "a", "b", "b"]


def test_the_call_that_refills_the_caches_is_not_timed():
    clock = FakeClock()
    durations = iter([9.0, 1.0, 9.0, 1.0, 9.0, 1.0])  # calibration pair, then an untimed and a timed call a round

    def call():
        clock.now_s += next(durations)

    samples = time_interleaved([call], Schedule(rounds=2, warm_up_calls=1, turn_ms=1), clock=clock)[0]
    assert samples.rounds_ms == ((1000.0,), (1000.0,))


def test_percentiles_run_over_all_rounds_and_medians_stay_within_one():
    samples = Samples(((1.0, 2.0, 3.0), (10.0, 11.0, 12.0)))
    assert samples.percentile_ms(50) == 6.5
    assert samples.round_medians_ms() == [2.0, 11.0]
