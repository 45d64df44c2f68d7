"""Scripts that measure: each prints a table and writes its numbers to diqa_utils/results."""
