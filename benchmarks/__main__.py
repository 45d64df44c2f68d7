"""Runs every benchmark and writes its results: `python -m benchmarks`."""

from benchmarks import original_faults, sample_training

for benchmark in (original_faults, sample_training):
    print(f"== {benchmark.__name__}")
    benchmark.main()
