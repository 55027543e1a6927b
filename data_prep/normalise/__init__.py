"""Stage 1: records of a source -> rows of the one schema."""
