"""What the benchmark of Beam makes of its times, and the calculation for large numbers."""

import pytest

from benchmarks import beam
from diqa_utils import notebook


def test_few_and_many_pictures_part_the_start_from_what_a_picture_costs():
    runs = {beam.FEW: [(5.5, 3.0)] * 3, beam.MANY: [(5 + beam.MANY / 4, 2.8 + beam.MANY / 10)] * 3}
    found = beam.costs_of(runs)
    assert found["picture_s"] == pytest.approx(1 / 4)
    assert found["start_s"] == pytest.approx(5)
    assert found["picture_processor_s"] == pytest.approx(1 / 10)
    assert found["start_processor_s"] == pytest.approx(2.8)
    assert found["pictures_per_s"] == pytest.approx(beam.MANY / (5 + beam.MANY / 4))


def test_ten_times_the_machines_take_a_tenth_of_the_time_and_the_same_processor_hours():
    few, many = (
        beam.on_paper(0.05, 0.0, 1e5, 200, {"photographs": 10**9, "busy": 0.5, "machines": number})
        for number in (10, 100)
    )
    assert few["cpu_hours"] == many["cpu_hours"] == pytest.approx(0.05 * 1e9 / 0.5 / 3600)
    assert few["wall_hours"] == pytest.approx(10 * many["wall_hours"])
    assert few["read_terabytes"] == pytest.approx(100)
    assert few["written_gigabytes"] == pytest.approx(200)
    prices = {"cpu_hour": 0.5, "terabyte_read": 2, "million_requests": 3}
    expected = few["cpu_hours"] * 0.5 + 100 * 2 + (1000 + 1) * 3
    assert beam.cost(few, **prices) == pytest.approx(expected)


def test_results_hold_what_the_calculation_gives():
    measured = notebook.results(beam.NAME)
    one = measured["ways"]["one_worker"]
    facts = one["picture_processor_s"], one["start_processor_s"], measured["pictures"]["bytes"]
    paper = beam.on_paper(*facts, measured["row_bytes"]["parquet"], measured["assumed"])
    assert measured["on_paper"]["small"] == pytest.approx(paper, rel=1e-3)
    assert set(measured["ways"]) == set(beam.WAYS)
