"""The mathematics of FGRPO on torch tensors: no I/O, no configuration, no trainer."""

from .advantage import ConstrainedAdvantage, MaskMode, Whiten, constrained_advantage
from .constraints import Constraint, Measurement, batch_score, measure
from .controller import MultiplierController, MultiplierRecord
from .controllers import PID, Multiplicative, NuPI
from .groups import group_normalize, zero_variance_fraction
from .multipliers import DualAscent, FixedMultipliers
from .sentences import JudgedSentences, SentenceAdvantage, sentence_advantage

__all__ = [
    "PID",
    "ConstrainedAdvantage",
    "Constraint",
    "DualAscent",
    "FixedMultipliers",
    "JudgedSentences",
    "MaskMode",
    "Measurement",
    "Multiplicative",
    "MultiplierController",
    "MultiplierRecord",
    "NuPI",
    "SentenceAdvantage",
    "Whiten",
    "batch_score",
    "constrained_advantage",
    "group_normalize",
    "measure",
    "sentence_advantage",
    "zero_variance_fraction",
]
