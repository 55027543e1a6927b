"""Everything under the config key `fgrpo`: typed, bounded, and refused at start with key, value and what is allowed."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError


def _in_unit_interval(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise PydanticCustomError("unit_interval", "Input should be between 0 and 1")
    return value


UnitInterval = Annotated[float, AfterValidator(_in_unit_interval)]
ConstraintKey = Literal["consistency", "spatial_grounding", "semantic_grounding"]
"""Signals a constraint can be put on."""


class Settings(BaseModel):
    """Base of all settings: no unknown key, no number that is none, no silent change of type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


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

    `target` and `options` are not read with kind=server, nor is `server` with kind=local.
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
    """A judge server to launch: `package.module:Class(**options)` in a Ray actor of its own.

    Attributes:
        target: `package.module:Class` of the judge.
        options: its arguments; relative paths start where the launch command was given.
        num_cpus: logical CPUs of the Ray cluster that the server takes.
        start_deadline_s: seconds until its first answer to a health check, building the judge included.
    """

    target: Annotated[str, Field(min_length=1)]
    options: dict[str, Any] = Field(default_factory=dict)
    num_cpus: Annotated[float, Field(ge=0.0)] = 1.0
    start_deadline_s: Annotated[float, Field(gt=0.0)] = 120.0


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
    constraint_keys: list[ConstraintKey]
    constraints: dict[ConstraintKey, ConstraintSettings]
    dual: DualSettings = DualSettings()
    advantage: AdvantageSettings = AdvantageSettings()
    reward: RewardSettings = RewardSettings()
    judges: dict[Literal["consistency", "grounding"], JudgeConfig]
    reward_servers: dict[str, JudgeServerConfig] = Field(default_factory=dict)
    max_failed_share: UnitInterval = 0.2

    @property
    def namespace(self) -> str:
        """The Ray namespace of this run's judge servers."""
        return f"fgrpo-{PurePath(self.run_dir).name}"

    @model_validator(mode="after")
    def _agree(self) -> FgrpoConfig:
        if PurePath(self.run_dir).name in ("", ".."):
            raise ValueError(f"run_dir={self.run_dir!r}: the last part names the run, write one like runs/my-run")
        if len(set(self.constraint_keys)) < len(self.constraint_keys):
            raise ValueError(f"constraint_keys={self.constraint_keys}: a constraint is named twice")
        for key in self.constraint_keys:
            if key not in self.constraints:
                raise ValueError(f"constraints.{key} is not set, but constraint_keys names it: give it a threshold")
            initial = self.constraints[key].initial_multiplier
            if self.dual.controller == "ascent" and initial > self.dual.lambda_max:
                raise ValueError(
                    f"constraints.{key}.initial_multiplier={initial}: Input should be less than or equal to "
                    f"dual.lambda_max={self.dual.lambda_max}"
                )
        for question, judge in self.judges.items():
            if judge.kind == "server" and judge.server not in self.reward_servers:
                raise ValueError(
                    f"judges.{question}.server={judge.server!r}: Input should be a key of reward_servers, "
                    f"which holds {_listed(self.reward_servers)}"
                )
        return self


def problems_of(error: ValidationError) -> list[str]:
    """One line per problem of an `FgrpoConfig`: key, value, what is allowed."""
    lines = [_line(item["type"], item["loc"], item["input"], item["msg"]) for item in error.errors()]
    # Keys and names are the user's text: a line break in one of them must not become one here.
    return ["".join(char if char.isprintable() else ascii(char)[1:-1] for char in line) for line in lines]


def _line(kind: str, loc: tuple[int | str, ...], value: Any, message: str) -> str:
    message = message.removeprefix("Value error, ")
    if kind == "value_error" and not loc:  # from _agree, whose messages start with the key
        return f"fgrpo.{message}"
    key = ".".join(str(part) for part in ("fgrpo", *loc) if part != "[key]")
    if kind == "extra_forbidden":
        return f"{key}: unknown key, allowed: {_listed(_settings_at(loc[:-1]).model_fields)}"
    if loc[-1:] == ("[key]",):
        return f"{key}: unknown key, {message.replace('Input should be', 'allowed:')}"
    if kind in ("value_error", "missing"):
        return f"{key}: {message}"
    return f"{key}={value!r}: {message}"


def _settings_at(loc: tuple[int | str, ...]) -> type[Settings]:
    """The settings class at a place in the config."""
    here: Any = FgrpoConfig
    for part in loc:
        here = here.model_fields[part].annotation if hasattr(here, "model_fields") else get_args(here)[-1]
    settings: type[Settings] = here
    return settings


def _listed(names: Any) -> str:
    return ", ".join(names) or "nothing"
