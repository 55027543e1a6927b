"""Shared by all tests."""

import os
import uuid

# Ray clusters of the tests get a token of their own (left alone, Ray would write one into the user's home). Ray reads
# the mode once, when it is imported, so this has to stand before any test module imports verl.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = uuid.uuid4().hex

# Before any test module imports verl, which resolves its platform once in a process.
os.environ.setdefault("VERL_PLATFORM", "cpu")
