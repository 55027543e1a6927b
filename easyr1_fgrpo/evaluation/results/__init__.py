"""From outcomes to numbers: metrics with intervals, results as they lie on disk, paired comparisons."""
