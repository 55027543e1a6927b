"""Everything under the config key `fgrpo`: typed, bounded, and refused at start with key, value and what is allowed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

SIGNAL_CONSTRAINTS = ("consistency", "spatial_grounding", "semantic_grounding")
"""Signals a constraint can be put on."""

UnitInterval = Annotated[float, Field(ge=0.0, le=1.0)]


class Settings(BaseModel):
    """Base of all settings: no unknown key, no silent change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RewardSettings(Settings):
    """How a rollout becomes signals.

    Attributes:
        task: the task reward: "weighted" 0.5 R_acc + 0.5 R_fmt, or one of the paper's scalar baselines "additive" and
            "multiplicative", which need no constraint.
        judge_scope: which rollouts judges are asked about: the "correct" ones, as the masks need, or "all", as
            validation and the inconsistency rate need.
        no_claim: a correct rollout without any scored sentence: "exclude" leaves R_S absent, "zero" scores it 0.
        truncated: a response cut at the length limit: "score" it by the rules like any other (it normally fails the
            format and has no answer), or make it "invalid", out of every statistic.
        deadline_s: seconds all judge questions of a rollout may take together.
    """

    task: Literal["weighted", "additive", "multiplicative"] = "weighted"
    judge_scope: Literal["correct", "all"] = "correct"
    no_claim: Literal["exclude", "zero"] = "exclude"
    truncated: Literal["score", "invalid"] = "score"
    deadline_s: Annotated[float, Field(gt=0.0)] = 60.0

    def for_validation(self) -> RewardSettings:
        """The same rewards with every rollout judged."""
        return self.model_copy(update={"judge_scope": "all"})


class ConstraintSettings(Settings):
    """One constraint: hold the batch score at `threshold` or above, weighing it with a multiplier."""

    threshold: UnitInterval
    initial_multiplier: Annotated[float, Field(ge=0.0)] = 1.0


class DualSettings(Settings):
    """How multipliers move (FGRPO Eq. 4): by dual ascent with rate `lr` up to `lambda_max`, or not at all (fixed).

    A multiplier moves only on steps with `min_applicable` applicable rollouts or more.
    """

    controller: Literal["ascent", "fixed"] = "ascent"
    lr: Annotated[float, Field(gt=0.0)] = 0.05
    lambda_max: Annotated[float, Field(gt=0.0)] = 5.0
    min_applicable: Annotated[int, Field(ge=1)] = 8


class AdvantageSettings(Settings):
    """How signals become an advantage (FGRPO Eq. 6); see `easyr1_fgrpo.algorithm.constrained_advantage`."""

    mask_mode: Literal["exclude", "zero_fill"] = "exclude"
    whiten: Literal["token", "rollout", "none"] = "token"
    min_group_valid: Annotated[int, Field(ge=2)] = 2
    min_std: Annotated[float, Field(ge=0.0)] = 0.0


class JudgeConfig(Settings):
    """Who answers a question.

    Attributes:
        kind: "server" asks the Ray actor `judge-<server>` of this run; "local" builds the judge in this process.
        server: name of the judge server.
        target: `package.module:Class` of a local judge.
        options: arguments of a local judge.
    """

    kind: Literal["server", "local"]
    server: str = ""
    target: str = ""
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> JudgeConfig:
        needed = "server" if self.kind == "server" else "target"
        if not getattr(self, needed):
            raise ValueError(f"kind={self.kind} needs {needed}")
        return self


class JudgeServerConfig(Settings):
    """A judge server to launch: `package.module:Class(**options)` in a Ray actor of its own."""

    target: str
    options: dict[str, Any] = Field(default_factory=dict)
    num_cpus: Annotated[float, Field(ge=0.0)] = 1.0


class FgrpoConfig(Settings):
    """The key `fgrpo` of the config.

    Attributes:
        run_dir: everything a run writes, checkpoints included.
        constraint_keys: the constraints that act; none is plain GRPO on the task reward.
        constraints: threshold and initial multiplier by constraint.
        dual: the multipliers' controller.
        advantage: normalisation, masks and whitening.
        reward: how a rollout becomes signals.
        judges: who answers "consistency" and "grounding".
        reward_servers: judge servers to launch, by name.
        max_failed_share: share of a step's rollouts that may fail before the run stops.
    """

    run_dir: str
    constraint_keys: list[Literal["consistency", "spatial_grounding", "semantic_grounding"]]
    constraints: dict[Literal["consistency", "spatial_grounding", "semantic_grounding"], ConstraintSettings]
    dual: DualSettings = DualSettings()
    advantage: AdvantageSettings = AdvantageSettings()
    reward: RewardSettings = RewardSettings()
    judges: dict[Literal["consistency", "grounding"], JudgeConfig]
    reward_servers: dict[str, JudgeServerConfig] = Field(default_factory=dict)
    max_failed_share: UnitInterval = 0.2

    @property
    def namespace(self) -> str:
        """The Ray namespace of this run's judge servers."""
        return f"fgrpo-{self.run_dir.rstrip('/').rsplit('/', 1)[-1]}"

    @model_validator(mode="after")
    def _agree(self) -> FgrpoConfig:
        if len(set(self.constraint_keys)) < len(self.constraint_keys):
            raise ValueError(f"constraint_keys names a constraint twice: {self.constraint_keys}")
        for key in self.constraint_keys:
            if key not in self.constraints:
                raise ValueError(f"constraint_keys holds {key!r} but constraints.{key} is not set: give it a threshold")
            initial = self.constraints[key].initial_multiplier
            if self.dual.controller == "ascent" and initial > self.dual.lambda_max:
                raise ValueError(
                    f"constraints.{key}.initial_multiplier={initial} is above dual.lambda_max={self.dual.lambda_max}"
                )
        return self


def problems_of(error: ValidationError) -> list[str]:
    """One line per problem: key, value, what is allowed."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in ("fgrpo", *item["loc"]) if part != "[key]")
        if item["type"] == "value_error" or isinstance(item["input"], dict):
            lines.append(f"{key}: {item['msg'].removeprefix('Value error, ')}")
        else:
            lines.append(f"{key}={item['input']!r}: {item['msg']}")
    return lines
