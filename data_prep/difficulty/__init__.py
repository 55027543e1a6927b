"""Stage 3: keep the rows that the base model answers right sometimes."""
