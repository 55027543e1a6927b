"""Update rules for the multipliers beyond the paper's dual ascent, one a file."""

from .multiplicative import Multiplicative
from .nupi import NuPI
from .pid import PID

__all__ = ["PID", "Multiplicative", "NuPI"]
