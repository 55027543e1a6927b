"""Around a run: its stages, its start and its end, what it waits for, what the terminal shows."""
