from lightdepth_runtime.images.opencv import import_cv2, quiet_cv2


def level():
    cv2 = import_cv2()
    return (cv2 if hasattr(cv2, "getLogLevel") else cv2.utils.logging).getLogLevel()


def test_blocks_of_silence_may_overlap_in_any_order_and_the_level_comes_back():
    before = level()
    first, second = quiet_cv2(), quiet_cv2()
    first.__enter__()
    silent = level()
    second.__enter__()
    first.__exit__(None, None, None)  # as another thread would, before the second is done
    assert level() == silent != before
    second.__exit__(None, None, None)
    assert level() == before
