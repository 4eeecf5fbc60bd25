import pytest
from rich.console import Console

from lightdepth_runtime.table import Cell, Column, Table, number, print_table

LONG = "depth-anything-v2-metric-indoor-small"
TABLE = Table(
    "speed",
    [Column("model"), Column("backend", is_words=True), *(Column(f"figure {n}") for n in range(4))]
    + [Column(f"detail {n}", is_extra=True) for n in range(12)],
    [[LONG, "onnxruntime cpu", *("1234.5",) * 4, *("more",) * 12], ["lite0", "openvino cpu", *("1.0",) * 16]],
)


def test_a_table_fits_80_columns_and_breaks_names_between_words_alone(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_table(TABLE)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 79  # and a space before each
    first = [line.split()[0] for line in lines if line.startswith(("depth", "metric", "indoor"))]
    assert "".join(first) == LONG
    assert all(part.endswith(("-", "small")) for part in first)
    assert "detail" not in "".join(lines)


def test_a_long_name_takes_no_letter_from_the_other_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    columns = [Column("model"), *(Column(name, is_words=True) for name in ("backend", "time", "parameters", "domain"))]
    row = ["lite0 (room.int8.cpu.onnx)", "onnxruntime cpu", "94.3 ms a frame", "3,614,186", "other data"]
    print_table(Table("", columns, [row, ["x", *row[1:4], "in-domain"]]))
    words = capsys.readouterr().out.split()
    assert set(" ".join([*row, "in-domain"]).split()) <= set(words)


def test_a_wide_table_has_every_column_in_one_line_a_model(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_table(TABLE, wide=True)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert sum(line.count("detail") for line in lines) == 12
    assert next(line for line in lines if line.startswith("lite0")).count("1.0") == 16


def test_marks_are_bold_and_names_with_brackets_are_no_markup():
    table = Table("", [Column("model"), Column("RMSE")], [["[bold]x", Cell("0.5", is_best=True)]])
    console = Console(force_terminal=True, width=40, color_system="standard")
    with console.capture() as captured:
        console.print(table.to_rich())
    assert "[bold]x" in captured.get()
    assert "\x1b[1m 0.5\x1b" in captured.get()


@pytest.mark.parametrize(("value", "text", "key"), [(0.1234, "0.123", 0.1234), (None, "-", "")])
def test_a_figure_keeps_what_it_is_sorted_by(value, text, key):
    assert number(value, ".3f") == Cell(text, key)
