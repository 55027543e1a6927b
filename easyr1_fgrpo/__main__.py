"""`python -m easyr1_fgrpo`: the command `fgrpo`, for this Python's subprocesses, whatever PATH says."""

from easyr1_fgrpo.cli import app

app(prog_name="fgrpo")
