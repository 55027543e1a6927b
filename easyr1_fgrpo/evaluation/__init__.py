"""Generate, score, report: accuracy, inconsistency and grounding of checkpoints, with intervals."""
