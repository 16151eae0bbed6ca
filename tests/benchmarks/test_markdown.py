"""Tables and spreads in Markdown."""

from benchmarks.markdown import between, table


def test_a_table_has_a_cell_under_every_title():
    assert table(("a", "b"), [("1", "2"), ("", "x")]).splitlines() == [
        "| a | b |",
        "|---|---|",
        "| 1 | 2 |",
        "|  | x |",
    ]


def test_a_spread_is_told_in_its_format_and_unit():
    found = dict(median=0.002, min=0.0015, max=1.5)
    assert between(found, ".1f", unit=1e-3) == "2.0 (1.5 to 1500.0)"
    assert between(found) == "0.002 (0.0015 to 1.5)"
