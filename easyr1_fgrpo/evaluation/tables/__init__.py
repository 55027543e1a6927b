"""Results side by side: models on benchmarks, a run before and after, models minus models."""
