"""Runs every benchmark and writes its results: `python -m benchmarks`."""

from benchmarks import (
    ablations,
    database_pipelines,
    human_ratings,
    no_reference_baselines,
    original_faults,
    pretraining,
    sample_training,
    score_distributions,
)

for benchmark in (
    original_faults,
    sample_training,
    score_distributions,
    no_reference_baselines,
    database_pipelines,
    pretraining,
    human_ratings,
    ablations,
):
    print(f"== {benchmark.__name__}")
    benchmark.main()
