"""A slice of the damaged score files that `python -m tests.fuzz.tables` reads in full."""

from tests.fuzz import tables


def test_damaged_tables_are_refused_in_a_sentence():
    counts = tables.read_damaged_tables(60, seed=1)
    assert not list(tables.faults_of(counts)), counts
    assert counts["a sentence"] > 60
