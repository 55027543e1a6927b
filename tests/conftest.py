"""Shared by all tests."""

import os

# Before any test module imports verl, which resolves its platform once in a process.
os.environ.setdefault("VERL_PLATFORM", "cpu")
