"""A tiny model made from anybody's rows, and a judge that reads without looking: one's own data through a whole run."""
