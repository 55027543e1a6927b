"""Supervised traces by Monte Carlo tree search over a teacher's reasoning steps (FGRPO section A.4)."""
