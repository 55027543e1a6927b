"""The Hydra configuration of a run, and the typed part of it that is ours (`schema.py`)."""
