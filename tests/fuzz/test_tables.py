"""A slice of the damaged score files that `python -m tests.fuzz.tables` reads in full."""

import pytest

from tests.fuzz import tables


@pytest.mark.parametrize(
    ("read", "number"),
    [
        (tables.read_damaged_matlab, 20),
        (tables.read_damaged_tables, 60),
        (tables.read_damaged_archives, 60),
    ],
)
def test_damaged_score_files_are_refused_in_a_sentence(read, number):
    counts = read(number, seed=1)
    assert not list(tables.faults_of(counts)), counts
    assert counts["a sentence"]
