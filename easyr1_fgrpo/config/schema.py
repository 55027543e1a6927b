"""Everything under the config key `fgrpo`: typed, bounded, and refused at start with key, value and what is allowed."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Field, model_validator

from easyr1_fgrpo.config.base import Settings, UnitInterval, listed
from easyr1_fgrpo.config.dual import DualSettings
from easyr1_fgrpo.config.judge_error import JudgeErrorSettings
from easyr1_fgrpo.config.judges import JudgeCacheSettings, JudgeConfig, JudgeServerConfig, ServerJudgeConfig

CONSTRAINABLE = ("consistency", "spatial_grounding", "semantic_grounding")
"""Signals of ours that a constraint can be put on; `fgrpo.signals` adds others."""

RESERVED = re.compile(
    rf"{'|'.join(CONSTRAINABLE)}|task|format|accuracy|acc|rollouts|signals|judges|dual|val|truncated|response_boxes"
    r"|(\w+_)?sentences|sentence_tokens|judge_\w*|\w+_(valid|reason)"
)
"""Names that a custom signal cannot have: they stand for something else among a rollout's numbers or metrics."""

SignalName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class RewardSettings(Settings):
    """How a rollout becomes signals.

    Attributes:
        task: the task reward: "weighted" 0.5 R_acc + 0.5 R_fmt, or one of the paper's scalar baselines "additive" and
            "multiplicative", which need no constraint.
        weights: signals that are added to the task reward instead of being constrained, by name; empty for none, and 0
            takes one out. See
            `easyr1_fgrpo.rewards.task.with_weighted_sum`.
        judge_scope: which rollouts judges are asked about: the "correct" ones, as the masks need, or "all", as
            validation and the inconsistency rate need.
        no_claim: a correct rollout without any scored sentence: "exclude" leaves R_S absent, "zero" scores it 0.
        truncated: a response cut at the length limit: "score" it by the rules like any other (it normally fails the
            format and has no answer), or make it "invalid", out of every statistic.
        deadline_s: seconds a judge's question may take, repetitions included, from its first call on. Before that it
            waits for its turn for as long as its judge answers others: until nobody was answered for `deadline_s`.
        max_sentences: claims of a rollout that are judged at most, drawn by the rollout's own seed; None for all.
        max_claims: claims of a rollout, after that draw, that a judge is asked about; of one with more, none, and its
            semantic grounding is unmeasured (TOO_MANY_CLAIMS). The paper's traces have 10 to 20 sentences, and 1,024
            tokens at most 128 that claim something; 100 kB of full stops would be 25,000 questions.
        level: what semantic grounding is credited to: the whole response by its mean ("outcome", the paper), or each
            judged "sentence" by its own verdict and the rest of the response, with the answer, by the mean; see
            `easyr1_fgrpo.algorithm.sentence_advantage`. The batch score and so the multiplier are the same.
    """

    task: Literal["weighted", "additive", "multiplicative"] = "weighted"
    weights: dict[str, Annotated[float, Field(ge=0.0, le=1000.0)]] = Field(default_factory=dict)
    judge_scope: Literal["correct", "all"] = "correct"
    no_claim: Literal["exclude", "zero"] = "exclude"
    truncated: Literal["score", "invalid"] = "score"
    deadline_s: Annotated[float, Field(gt=0.0)] = 60.0
    max_sentences: Annotated[int, Field(ge=1)] | None = None
    max_claims: Annotated[int, Field(ge=1)] = 256
    level: Literal["outcome", "sentence"] = "outcome"

    def for_validation(self) -> RewardSettings:
        """The same rewards with every rollout judged."""
        return self.model_copy(update={"judge_scope": "all"})


class ConstraintSettings(Settings):
    """One constraint: hold the batch score at `threshold` or above, weighing it with a multiplier.

    Attributes:
        threshold: what is asked; of the true rate where `judge_error` is given.
        initial_multiplier: before the first dual step.
        judge_error: how often the judge of the signal errs; None takes its verdicts as true. A custom signal may have
            one too, where its values are verdicts or means of verdicts.
    """

    threshold: UnitInterval
    initial_multiplier: Annotated[float, Field(ge=0.0)] = 1.0
    judge_error: JudgeErrorSettings | None = None

    @property
    def measured_threshold(self) -> float:
        """The threshold as the judge measures it: what batch scores are compared with."""
        return self.threshold if self.judge_error is None else self.judge_error.measured(self.threshold)


class AdvantageSettings(Settings):
    """How signals become an advantage (FGRPO Eq. 6); see `easyr1_fgrpo.algorithm.constrained_advantage`."""

    mask_mode: Literal["exclude", "zero_fill"] = "exclude"
    whiten: Literal["token", "rollout", "none"] = "token"
    min_group_valid: Annotated[int, Field(ge=2)] = 2
    min_std: Annotated[float, Field(ge=0.0)] = 0.0


class ImageSettings(Settings):
    """What the policy sees of an image, the same in the warm start, in RL and in evaluation.

    An image is resized so that its area lies between `min_pixels` and `max_pixels` and its sides are multiples of the
    model's merged patch. A policy whose images change size writes boxes that have moved.

    Attributes:
        coordinates: in what the policy writes boxes: "pixels" of the resized image (Qwen2.5-VL) or "thousand"ths of its
            sides (Qwen3-VL).
    """

    min_pixels: Annotated[int, Field(gt=0)] = 3136
    max_pixels: Annotated[int, Field(gt=0)] = 4_194_304
    coordinates: Literal["pixels", "thousand"] = "pixels"

    @model_validator(mode="after")
    def _ordered(self) -> ImageSettings:
        if self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels={self.min_pixels} is more than max_pixels={self.max_pixels}")
        return self


class ResumeSettings(Settings):
    """How a run goes on from its last checkpoint.

    Attributes:
        accept: keys of the config whose change since the run's last start is meant, such as
            "fgrpo.constraints.consistency.threshold"; any other change of what the run is is refused.
        from_: `from` in the config: an earlier checkpoint of the run to go back to, by its folder's name; "" for the
            last one. Gone back to once: the same command again goes on from what the run has saved since.
    """

    accept: list[str] = Field(default_factory=list)
    from_: Annotated[str, Field(alias="from", pattern=r"^(global_step_\d+)?$")] = ""


class FgrpoConfig(Settings):
    """The key `fgrpo` of the config.

    Attributes:
        run_dir: everything a run writes, checkpoints included.
        constraint_keys: the constraints that act; none is plain GRPO on the task reward.
        constraints: threshold and initial multiplier by constraint.
        signals: custom signals, `path/to/file.py:function` by name; see `easyr1_fgrpo.rewards.custom_signal`.
        dual: the multipliers' controller.
        advantage: normalisation, masks and whitening.
        reward: how a rollout becomes signals.
        judges: who answers "consistency" and "grounding".
        reward_servers: judge servers to launch, by name.
        judge_cache: where verdicts of model judges are cached.
        resume: which changes a resumed run may make.
        max_failed_share: share of a step's rollouts that may fail before the run stops.
        max_unmeasured_steps: steps in a row on which a constraint's judge may measure too few rollouts
            (`dual.min_valid_share`) before the run saves a checkpoint and stops.
        stop_if_hopeless: whether the run stops when its first three steps had nothing to learn from; see
            `easyr1_fgrpo.training.first_steps`.
        max_silence_s: seconds for which nothing of a run may move before it is ended; see
            `easyr1_fgrpo.watch`.
        max_probs_difference: how far the rollout engine's token probabilities may be from the trainer's, in the mean
            over a step, before the run stops; None for no comparison. See `easyr1_fgrpo.training.canary`.
    """

    run_dir: str
    constraint_keys: list[str]
    constraints: dict[str, ConstraintSettings]
    signals: dict[SignalName, str] = Field(default_factory=dict)
    dual: DualSettings = DualSettings()
    advantage: AdvantageSettings = AdvantageSettings()
    reward: RewardSettings = RewardSettings()
    judges: dict[Literal["consistency", "grounding"], JudgeConfig] = Field(default_factory=dict)
    reward_servers: dict[str, JudgeServerConfig] = Field(default_factory=dict)
    judge_cache: JudgeCacheSettings = JudgeCacheSettings()
    images: ImageSettings = ImageSettings()
    resume: ResumeSettings = ResumeSettings()
    max_failed_share: UnitInterval = 0.2
    max_unmeasured_steps: Annotated[int, Field(ge=1)] = 3
    stop_if_hopeless: bool = True
    max_silence_s: Annotated[float, Field(gt=0.0)] = 1800.0
    max_probs_difference: UnitInterval | None = 0.05

    @property
    def namespace(self) -> str:
        """The Ray namespace of this run's judge servers."""
        return f"fgrpo-{PurePath(self.run_dir).name}"

    @model_validator(mode="after")
    def _agree(self) -> FgrpoConfig:
        if PurePath(self.run_dir).name in ("", ".."):
            raise ValueError(f"run_dir={self.run_dir!r}: the last part names the run, write one like runs/my-run")
        for name in self.signals:
            if RESERVED.fullmatch(name):
                raise ValueError(f"signals.{name}: this name is taken, choose another")
        allowed = (*CONSTRAINABLE, *self.signals)
        for key in self.constraints:
            if key not in allowed:
                raise ValueError(
                    f"constraints.{key}: unknown key, allowed: {listed(allowed)}; a custom one says what it measures, "
                    "signal: FILE.py:FUNCTION"
                )
        if (boxes := self.constraints.get("spatial_grounding")) and boxes.judge_error is not None:
            raise ValueError(
                "constraints.spatial_grounding.judge_error: boxes are compared with the row's, and no judge errs "
                "there; leave it out"
            )
        for key in self.constraint_keys:
            if key not in allowed:
                raise ValueError(f"constraint_keys={self.constraint_keys}: {key} is none of {listed(allowed)}")
        for key in self.reward.weights:
            if key not in allowed:
                raise ValueError(f"reward.weights.{key}: no such signal, allowed: {listed(allowed)}")
        if len(set(self.constraint_keys)) < len(self.constraint_keys):
            raise ValueError(f"constraint_keys={self.constraint_keys}: a constraint is named twice")
        for key in self.constraint_keys:
            if key not in self.constraints:
                raise ValueError(f"constraints.{key} is not set, but constraint_keys names it: give it a threshold")
            initial = self.constraints[key].initial_multiplier
            if self.dual.controller != "fixed" and initial > self.dual.lambda_max:
                raise ValueError(
                    f"constraints.{key}.initial_multiplier={initial}: Input should be less than or equal to "
                    f"dual.lambda_max={self.dual.lambda_max}"
                )
        self.dual.check()
        if self.reward.level == "sentence":
            self._check_sentence_level()
        for question, judge in self.judges.items():
            kind = "embedded" if isinstance(judge, ServerJudgeConfig) else "vllm"
            known = [name for name, server in self.reward_servers.items() if server.kind == kind]
            if (server := getattr(judge, "server", "")) and server not in known:
                raise ValueError(
                    f"judges.{question}.server={server!r}: Input should be a key of reward_servers with kind={kind}, "
                    f"which holds {listed(known)}"
                )
        return self

    def _check_sentence_level(self) -> None:
        key = "reward.level='sentence'"
        if not self.constraint_keys:
            raise ValueError(f"{key}: it credits a constraint, and none acts; leave it out, or say arm=fgrpo")
        if "semantic_grounding" not in self.constraint_keys:
            raise ValueError(
                f"{key}: it credits semantic_grounding, add that to constraint_keys={self.constraint_keys}"
            )
        for option, value, refused in (
            ("advantage.mask_mode", self.advantage.mask_mode, "zero_fill"),
            ("advantage.whiten", self.advantage.whiten, "rollout"),
            ("images.coordinates", self.images.coordinates, "thousand"),  # rewritten boxes move the sentences
        ):
            if value == refused:
                raise ValueError(f"{key}: not with {option}={value}, change one of them")
