import re
from functools import partial
from html.parser import HTMLParser

import numpy as np
import pytest
from fakes.gpu_probe import FakeProbe

from lightdepth.report.bench import bench_html, write_bench_report
from lightdepth.report.page import box, command_box, page, picture
from lightdepth.report.scatter import Point, scatter_svg
from lightdepth.report.table import html_table
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.bench import bench as bench_module
from lightdepth_runtime.bench.bench import bench
from lightdepth_runtime.bench.candidate import Candidate
from lightdepth_runtime.bench.gpu_readings import measure_gpu
from lightdepth_runtime.bench.timing import Schedule
from lightdepth_runtime.spec import ModelSpec
from lightdepth_runtime.table import Cell, Column, Table

HOSTILE = '<script>alert("x")</script>&\'"'
COMMAND = ["lightdepth", "bench", "a b.onnx", "--report", "out"]
SCORES = {"abs_rel": 0.2, "rmse_m": 0.7, "delta1": 0.6, "data": "rooms", "protocol": "crop-eigen"}


def result_of(*specs):
    candidates = [Candidate(FakeBackend(spec), 1000, None) for spec in specs]
    frame = np.zeros((60, 80, 3), np.uint8)
    return bench(candidates, frame, Schedule(rounds=2, warm_up_calls=1, turn_ms=0.01))


def well_formed(html):
    """Check that every opened tag is closed in order."""
    stack = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag not in {"meta", "link", "img"}:
                stack.append(tag)

        def handle_startendtag(self, tag, attributes):
            pass

        def handle_endtag(self, tag):
            assert stack.pop() == tag

    Checker().feed(html)
    return not stack


def test_names_with_markup_are_shown_as_text():
    parts = [
        html_table(Table(HOSTILE, [Column(HOSTILE)], [[Cell(HOSTILE, note=HOSTILE)]])),
        box({HOSTILE: HOSTILE}),
        command_box(["lightdepth", HOSTILE]),
        picture("data:,", HOSTILE),
        scatter_svg([Point(HOSTILE, 1, 1)], HOSTILE, HOSTILE),
    ]
    html = page(HOSTILE, parts)
    assert html.count("<script>") == 1, "ours alone"
    assert well_formed(html)


def test_the_page_names_no_other_file():
    html = bench_html(result_of(ModelSpec("ours", 64, 96, parameters=100, scores=SCORES)), COMMAND)
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html


def test_the_command_can_be_pasted_into_a_shell():
    assert "lightdepth bench &#x27;a b.onnx&#x27; --report out" in command_box(COMMAND)


def test_scores_in_the_files_are_drawn_against_latency_and_parameters():
    html = bench_html(result_of(ModelSpec("a", 64, 96, 100, scores=SCORES), ModelSpec("b", 64, 96, 200)), COMMAND)
    assert html.count("<svg") == 2
    assert html.count("<circle") == 2, "b has no scores"


def test_scores_of_two_protocols_never_share_a_plot():
    other = {**SCORES, "protocol": "crop-none"}
    specs = ModelSpec("a", 64, 96, 100, scores=SCORES), ModelSpec("b", 64, 96, 200, scores=other)
    html = bench_html(result_of(*specs), COMMAND)
    assert [plot.count("<circle") for plot in html.split("<svg")[1:]] == [1, 1, 1, 1]


def test_without_scores_the_report_says_how_to_get_them():
    assert "lightdepth export --scores" in bench_html(result_of(ModelSpec("a", 64, 96, 100)), COMMAND)


def test_the_report_is_written_into_a_new_folder(tmp_path):
    path = write_bench_report(tmp_path / "new", result_of(ModelSpec("a", 64, 96, 100)), COMMAND)
    assert path.name == "bench.html"
    assert well_formed(path.read_text())


@pytest.mark.parametrize("xs", [(5.0,), (5.0, 5.0), (0.001, 1000.0), (3.0, 4.0, 5.0)])
def test_every_point_lies_inside_the_plot(xs):
    svg = scatter_svg([Point(f"model {x}", x, 0.1, 0.05, 0.2) for x in xs], "ms", "AbsRel")
    places = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert len(places) == len(xs)
    assert all(56 <= float(x) <= 386 and 14 <= float(y) <= 246 for x, y in places)


def test_names_of_neighbouring_points_do_not_overlap():
    svg = scatter_svg([Point(f"model {i}", 5.0, 0.1) for i in range(4)], "ms", "AbsRel")
    lines = re.findall(r'<text x="[\d.]+" y="([\d.]+)"(?: text-anchor="end")?>model', svg)
    assert len(set(lines)) == 4


def test_a_gpus_throttling_stands_in_the_report(monkeypatch):
    monkeypatch.setattr(bench_module, "measure_gpu", partial(measure_gpu, seconds=0.2))
    backend = FakeBackend()
    backend.device = "cuda"
    frame = np.zeros((60, 80, 3), np.uint8)
    schedule = Schedule(rounds=1, turn_ms=1.0, warm_up_calls=1)
    result = bench([Candidate(backend, 1000, None)], frame, schedule, open_probe=FakeProbe)
    assert "SwPowerCap" in bench_html(result, COMMAND)
