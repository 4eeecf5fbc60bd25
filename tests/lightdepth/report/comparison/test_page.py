from dataclasses import replace
from html import escape

import numpy as np
import pytest

from lightdepth.compare.candidates import Candidate
from lightdepth.compare.compare import compare
from lightdepth.report.comparison.page import compare_html, write_compare_report
from lightdepth_runtime.pairs import load_pairs

COMMAND = ["lightdepth", "compare", "--data", "a b"]


@pytest.fixture
def comparison(tum):
    def flat(image):
        return np.full(image.shape[:2], 2, np.float32)

    def sloping(image):
        return np.linspace(0.2, 1, image.shape[0], dtype=np.float32)[:, None].repeat(image.shape[1], axis=1)

    candidates = [
        Candidate("<b>sloping</b>", sloping, "relative-inverse", 2_000_000, "hub", "its authors' mixture", "zero-shot"),
        Candidate("flat", flat, "metric", 1_000_000, "trained", "rooms", "in-domain"),
        Candidate("fresh", flat, "metric", 3_000_000, "random", "nothing", "untrained"),
    ]
    return compare(candidates, load_pairs(tum, "test"))[0]


def test_every_protocol_has_a_table_and_a_plot_only_where_two_models_share_it(comparison):
    html = compare_html(comparison, [], COMMAND, 1)
    assert [html.count(f'aria-label="{escape(p.describe())}"') for p in comparison.protocols()] == [1, 1, 1]
    assert html.count("<svg") == 2, "latency and parameters of the one shared protocol"
    assert html.count("<circle") == 4


def test_names_are_escaped_and_random_weights_are_said_to_be_so(comparison):
    html = compare_html(comparison, [], COMMAND, 1)
    assert "<b>sloping" not in html
    assert "&lt;b&gt;sloping" in html
    assert "fresh has random weights" in html


def test_the_page_names_every_protocol_and_the_command(comparison):
    html = compare_html(comparison, [], COMMAND, 1)
    for protocol in comparison.protocols():
        assert protocol.id in html
    assert "lightdepth compare --data &#x27;a b&#x27;" in html


def test_pairs_without_valid_depth_are_told_beside_those_that_were_scored(comparison):
    html = compare_html(replace(comparison, samples=1, left_out=1), [], COMMAND, 1)
    assert "1 pair of" in html
    assert "1 without valid depth left out" in html


def test_pictures_are_inside_the_page(comparison, tmp_path):
    (tmp_path / "panel.png").write_bytes(b"\x89PNG picture")
    path = write_compare_report(tmp_path, comparison, [tmp_path / "panel.png"], COMMAND, 1)
    assert 'src="data:image/png;base64,iVBORyBwaWN0dXJl"' in path.read_text()
