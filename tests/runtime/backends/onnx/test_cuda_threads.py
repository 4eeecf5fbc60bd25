"""ONNX Runtime on a fake GPU from several threads: each gets its own depth, and recordings stay two."""

import threading

import numpy as np
from fakes.tensorrt import expected, images

from lightdepth_runtime import LightDepthError


def test_threads_take_turns_and_each_gets_its_own(backend):
    wrong = []

    def work(seed):
        for _ in range(30):
            if not np.allclose(backend.run(images(seed=seed)), expected(images(seed=seed)), rtol=1e-5, atol=1e-5):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_any_number_of_threads_leaves_two_recordings(backend, cudart):
    running = []
    for seed in range(6):
        threads = [threading.Thread(target=lambda: running.append(backend.run(images(seed=3)))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        backend.run(images(seed=seed))
    assert len(cudart._session_threads) == 2
    assert len(running) == 12
    for depth_m in running:
        np.testing.assert_allclose(depth_m, expected(images(seed=3)), rtol=1e-5, atol=1e-5)


def test_an_error_in_another_thread_reaches_it_and_a_closed_model_is_refused_there_too(backend):
    def run(batch):
        try:
            backend.run(batch)
        except LightDepthError as error:
            words.append(str(error))

    words = []
    for batch in (np.zeros((1, 3, 8, 8), np.float32), images()):
        thread = threading.Thread(target=run, args=(batch,))
        thread.start()
        thread.join()
        backend.close()
    assert "This model takes float32" in words[0]
    assert "was closed" in words[1]
