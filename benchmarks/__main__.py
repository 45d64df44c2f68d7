"""Runs every benchmark and writes its results: `python -m benchmarks`."""

from benchmarks import (
    database_pipelines,
    original_faults,
    sample_training,
    score_distributions,
)

for benchmark in (original_faults, sample_training, score_distributions, database_pipelines):
    print(f"== {benchmark.__name__}")
    benchmark.main()
