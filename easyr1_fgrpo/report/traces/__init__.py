"""Traces as a reader sees them: one rollout with its verdicts, in a page or in a logger."""
