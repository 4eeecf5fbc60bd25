from lightdepth.report.table import html_table, markdown_table
from lightdepth_runtime.table import Cell, Column, Table, number

TABLE = Table(
    "sizes",
    [Column("model", is_words=True), Column("parameters"), Column("used | for", is_words=True)],
    [["a|b", number(1234567, ",", note="1..2", is_best=True), "rooms"], ["c", number(None, ","), "halls"]],
)


def test_a_figure_is_sorted_by_its_value_not_by_its_text_and_an_unknown_one_last():
    html = html_table(TABLE)
    assert 'class="best" data-key="1234567">1,234,567<small>1..2</small><' in html
    assert 'data-key="">-<' in html
    assert html.count(' class="words"') == 4 + 2, "heads and cells of words"


def test_markdown_marks_the_best_and_keeps_bars_out_of_the_columns():
    lines = markdown_table(TABLE).splitlines()
    assert lines == [
        "| model | parameters | used \\| for |",
        "|---|---:|---|",
        "| a\\|b | **1,234,567**<br>1..2 | rooms |",
        "| c | - | halls |",
    ]


def test_a_plain_text_is_a_cell():
    assert TABLE.cells()[1][0] == Cell("c")
