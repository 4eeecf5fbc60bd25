import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCALE = runpy.run_path(str(ROOT / "benchmarks" / "scale_table.py"))
RATES = SCALE["Rates"](
    plain_bytes=1e5, packed_bytes=1e6, check_s=0.01, pack_s=0.02, label_s=0.1, samples_per_s=400.0, images_per_s=500.0,
    process_bytes=5e8, listed_bytes=1300,
)  # fmt: skip


def test_the_page_shows_what_the_results_give():
    page = (ROOT / "docs" / "scale.md").read_text()
    for line in SCALE["tables"](SCALE["read_rates"](), [50_000, 1_000_000, 10_000_000]):
        assert line in page


def test_costs_are_products_of_rates_and_frames():
    lines = [line.strip("| ").split(" | ") for line in SCALE["tables"](RATES, [360_000])]
    check, pack, _ = (line for line in lines if len(line) == 8 and line[0] == "360,000")
    assert check[2:6] == ["1", "3.8 min", "9 GB", "36"]
    assert pack[2] == "2"
    assert pack[6] == "360"
    one, eight, many = (line for line in lines if len(line) == 9 and line[0] == "360,000")
    assert one[2:5] == ["5 h", "5", "2"]
    assert eight[3] == many[3] == "5"
    assert many[5:9] == ["360", "2.9", "72", "32,000"]


@pytest.mark.parametrize(("seconds", "text"), [(29, "29 s"), (600, "10 min"), (7200, "2 h")])
def test_a_duration_is_shown_in_a_unit_that_suits(seconds, text):
    assert SCALE["_duration"](seconds) == text
