"""How often a constraint's judge errs, and what that makes of a rate: the key `fgrpo.constraints.NAME.judge_error`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from easyr1_fgrpo.config.base import Settings

LEAST_TOLD = 0.2
"""1 - false_negative - false_positive of a judge that is worth asking: of what traces gain it shows a fifth, and the
corrected score has five times the score's standard error."""


def _share(value: float) -> float:
    if value >= 1.0:
        raise PydanticCustomError("share", "Input should be less than 1, as a share: 10 % is 0.1")
    return value


Share = Annotated[float, Field(ge=0.0), AfterValidator(_share)]


def tells_too_little(false_negative: float, false_positive: float) -> bool:
    """Whether a judge with these errors tells less than `LEAST_TOLD`."""
    return 1.0 - false_negative - false_positive < LEAST_TOLD - 1e-9


class JudgeErrorSettings(Settings):
    """The shares of a judge's verdicts that are wrong (Rogan and Gladen, Am J Epidemiol 107, 1978).

    Of a true rate p such a judge approves p (1 - false_negative) + (1 - p) false_positive. The map is linear, so it
    holds for a mean over verdicts (consistency) and for a mean of means (semantic grounding: sentences of a rollout,
    then rollouts) alike, as long as errors do not depend on which rollout a sentence is of. Sentences that a judge
    takes for none (SKIP) are in no mean; the zeros of `reward.no_claim=zero` are no verdicts, and with them a
    constraint asks for slightly more than its threshold.

    Attributes:
        false_negative: share of what deserves approval (a consistent trace, a true sentence) that the judge refuses:
            NO, UNCERTAIN or INCORRECT.
        false_positive: share of what does not deserve it that the judge approves: YES or CORRECT.
    """

    false_negative: Share
    false_positive: Share

    @model_validator(mode="before")
    @classmethod
    def _of_both_sides(cls, given: Any) -> Any:
        both = {"false_negative", "false_positive"}
        if not isinstance(given, JudgeErrorSettings | Mapping) or (isinstance(given, Mapping) and set(given) < both):
            share = given if isinstance(given, float) else 0.1
            raise PydanticCustomError(
                "both_sides",
                f"Input should be both shares, for example {{false_negative: {share}, false_positive: {share}}}",
            )
        return given

    @model_validator(mode="after")
    def _tells_something(self) -> JudgeErrorSettings:
        if tells_too_little(self.false_negative, self.false_positive):
            raise ValueError(
                f"false_negative={self.false_negative} and false_positive={self.false_positive}: they must add up to "
                f"{1.0 - LEAST_TOLD:g} or less, for a judge beyond that tells next to nothing; take another judge"
            )
        return self

    def __str__(self) -> str:
        """As it is written in a config, on Hydra's command line and on EasyR1's."""
        return f"{{false_negative: {self.false_negative:g}, false_positive: {self.false_positive:g}}}"

    def measured(self, true_rate: float) -> float:
        """The rate that the judge measures in the mean, where `true_rate` in [0, 1] is true."""
        return true_rate * (1.0 - self.false_negative) + (1.0 - true_rate) * self.false_positive

    def true_rate(self, measured: float) -> float:
        """The estimate of Rogan and Gladen, the inverse of `measured`.

        It may lie outside of [0, 1], as a batch's errors are more or fewer than in the mean; cut off there, its mean
        over steps would be wrong.
        """
        return (measured - self.false_positive) / (1.0 - self.false_negative - self.false_positive)
