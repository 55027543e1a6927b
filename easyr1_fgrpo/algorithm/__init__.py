"""The mathematics of FGRPO on torch tensors: no I/O, no configuration, no trainer."""

from .advantage import ConstrainedAdvantage, MaskMode, Whiten, constrained_advantage
from .constraints import Constraint, Measurement, batch_score, measure
from .groups import group_normalize, zero_variance_fraction
from .multipliers import DualAscent, FixedMultipliers, MultiplierController, MultiplierRecord

__all__ = [
    "ConstrainedAdvantage",
    "Constraint",
    "DualAscent",
    "FixedMultipliers",
    "MaskMode",
    "Measurement",
    "MultiplierController",
    "MultiplierRecord",
    "Whiten",
    "batch_score",
    "constrained_advantage",
    "group_normalize",
    "measure",
    "zero_variance_fraction",
]
