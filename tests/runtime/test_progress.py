import io
import sys

import pytest

from lightdepth_runtime import progress
from lightdepth_runtime.progress import track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(params=["terminal", "file"])
def stderr(request, monkeypatch):
    stream = Terminal() if request.param == "terminal" else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_items_pass_through_in_order(stderr):
    assert list(track(iter("abc"), "Reading", 3)) == ["a", "b", "c"]


def test_an_error_in_the_items_reaches_the_caller(stderr):
    def broken():
        yield 1
        raise ValueError("row 2")

    with pytest.raises(ValueError, match="row 2"):
        list(track(broken(), "Reading", 2))


def test_lines_say_count_time_left_and_status_and_only_now_and_then(monkeypatch, capsys):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    list(track(range(10), "Epoch 1", 10, status=lambda: "7 images/s"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Epoch 1: 3/10, 28 s left, 7 images/s"
    assert len(lines) == 3


def test_short_work_says_nothing_in_a_log(capsys):
    list(track(range(100), "Reading", 100))
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_with_label_count_and_status(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    list(track(range(3), "Reading", 3, status=lambda: "5 images/s"))
    for words in ("Reading", "3/3", "5 images/s"):
        assert words in stream.getvalue()
