"""Questions to a model, verdicts back."""
