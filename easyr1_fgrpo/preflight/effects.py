"""Settings with which a run would finish and not be what it is called.

An arm's name that promises something else, constraints that cannot act, thresholds nothing reads, rows seen twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from omegaconf import OmegaConf

from easyr1_fgrpo import config as config_package
from easyr1_fgrpo.checkpoints import quick_sha256
from easyr1_fgrpo.config.dual import DualSettings
from easyr1_fgrpo.config.schema import FgrpoConfig

_CONSTRAINED = ("fgrpo", "consistency_only", "fixed_multipliers")
"""Arms of ours that promise constraints."""

_SUM = "weighted_sum"
"""The one that adds signals to the task reward."""

BOXED = "spatial_grounding"
"""The constraint that is measured against a row's boxes."""

_CONFIG = Path(config_package.__file__).parent


def effect_problems(arm: str, settings: FgrpoConfig, *, prompts: int, n: int, n_key: str) -> Iterator[str]:
    """One line for each such setting: key, value and the fix.

    Args:
        arm: its name.
        settings: the key `fgrpo` of the config.
        prompts: of a step.
        n: rollouts of a prompt, 2 or more.
        n_key: the host's key for `n`.
    """
    yield from _arm_problems(arm, settings)
    yield from _unread_problems(settings)
    if settings.constraint_keys:
        yield from _constraint_problems(settings, prompts, n, n_key)


def seen_twice_problems(train_files: Sequence[Path], others: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    """Files of questions that training sees, too.

    Args:
        train_files: `data.train_files`.
        others: by key, the files of validation and of the last table.
    """
    trained = {path.resolve(): path for path in train_files}
    contents = {quick_sha256(path): path for path in trained if path.is_file()}
    for key, paths in others.items():
        for path in paths:
            same = path.resolve() if path.resolve() in trained else None
            if same is None and path.is_file():
                same = contents.get(quick_sha256(path))
            if same is not None:
                yield f"{key}={path}: the run trains on these rows (data.train_files={trained[same]}); name others"


def _arm_problems(arm: str, ours: FgrpoConfig) -> Iterator[str]:
    """Folder, table and page are named after the arm, so what an arm of ours sets stays as it sets it."""
    given = {
        "fgrpo.constraint_keys": ours.constraint_keys,
        "fgrpo.reward.task": ours.reward.task,
        "fgrpo.dual.controller": ours.dual.controller,
    }
    arms = {}
    for path in (_CONFIG / "arm").glob("*.yaml"):
        said = OmegaConf.load(path)
        arms[path.stem] = {key: value for key in given if (value := OmegaConf.select(said, key)) is not None}
    if arm not in arms:
        return  # the user's own
    fitting = [
        name
        for name, settings in arms.items()
        if all(given[key] == value for key, value in settings.items()) and (name == _SUM) == bool(ours.reward.weights)
    ]
    best = max(fitting, key=lambda name: len(arms[name]), default=None)
    way_out = f"say arm={best}" if best else "make it an arm of your own (docs/your_own.md#a-constraint)"
    for key, value in arms[arm].items():
        if given[key] != value:
            yield f"{key}={given[key]}: arm={arm} means {key}={value}, and the run would have its name; {way_out}"
    if ours.reward.weights and arm != _SUM:
        yield (
            f"fgrpo.reward.weights={ours.reward.weights}: arm={arm} adds no signals, and the run would have its name; "
            f"say arm={_SUM}"
        )
    if arm == _SUM and not any(ours.reward.weights.values()):
        yield f"fgrpo.reward.weights={ours.reward.weights}: nothing is added; say arm=grpo_t, or give weights"
    if arm in _CONSTRAINED and not ours.constraint_keys:
        yield (
            f"fgrpo.constraint_keys=[]: no constraint acts, so arm={arm} would be plain GRPO by another name; "
            "say arm=grpo_t (or additive, multiplicative, weighted_sum), or name constraints"
        )
    if arm == "fgrpo" and ours.dual.controller == "fixed":
        yield "fgrpo.dual.controller=fixed: with arm=fgrpo multipliers move; say arm=fixed_multipliers"


def _unread_problems(ours: FgrpoConfig) -> Iterator[str]:
    """Settings of constraints that do not act, and of multipliers that do not move."""
    usual = OmegaConf.load(_CONFIG / "method.yaml").fgrpo.constraints
    for name, settings in ours.constraints.items():
        if name in ours.constraint_keys:
            continue
        keys = ",".join([*ours.constraint_keys, name])
        for key, value in settings:
            if value != OmegaConf.select(usual, f"{name}.{key}"):
                yield (
                    f"fgrpo.constraints.{name}.{key}={value}: {name} does not act; leave this out, or "
                    f"let it act: fgrpo.constraint_keys=[{keys}]"
                )
    unread: tuple[str, ...] = ()
    if not ours.constraint_keys:
        unread = tuple(DualSettings.model_fields)
        if ours.advantage.mask_mode != "exclude":
            yield (
                f"fgrpo.advantage.mask_mode={ours.advantage.mask_mode}: it is about constraints, and none acts; leave "
                "it out"
            )
    elif ours.dual.controller == "fixed":
        unread = ("lr", "lambda_max", "min_applicable")
        for name in ours.constraint_keys:
            if (error := ours.constraints[name].judge_error) is not None:
                yield f"fgrpo.constraints.{name}.judge_error={error}: no multiplier moves here; leave it out"
    for key in unread:
        if (value := getattr(ours.dual, key)) != getattr(DualSettings(), key):
            yield f"fgrpo.dual.{key}={value}: no multiplier moves here; leave it out"


def _constraint_problems(ours: FgrpoConfig, prompts: int, n: int, n_key: str) -> Iterator[str]:
    advantage, dual = ours.advantage, ours.dual
    if dual.controller != "fixed" and dual.min_applicable > prompts * n:
        yield (
            f"fgrpo.dual.min_applicable={dual.min_applicable}: a step has {prompts * n} rollouts ({prompts} prompts x "
            f"{n}), so no multiplier would ever move; give less"
        )
    if advantage.min_group_valid > n:
        yield (
            f"fgrpo.advantage.min_group_valid={advantage.min_group_valid}: a group has {n} rollouts "
            f"({n_key}), so no constraint would have an advantage; give less"
        )
    most = math.sqrt(n / (n - 1)) / 2  # half of them 0, half of them 1
    if advantage.min_std > most:
        yield (
            f"fgrpo.advantage.min_std={advantage.min_std}: signals in [0, 1] of {n} rollouts differ by {most:.2f} at "
            "most, so this floor would divide all of them, whatever they are; give less"
        )
    if dual.controller == "fixed":
        for key in ours.constraint_keys:
            if ours.constraints[key].initial_multiplier == 0:
                yield (
                    f"fgrpo.constraints.{key}.initial_multiplier=0: with fgrpo.dual.controller=fixed it stays 0, and "
                    f"the constraint without effect; give more, or leave {key} out of fgrpo.constraint_keys"
                )


def without_boxes(constraint_keys: Sequence[str], where: str) -> str:
    """That a constraint on boxes could neither be met nor missed, in a line.

    Args:
        constraint_keys: `fgrpo.constraint_keys`, with `BOXED`.
        where: key and value of the training data, none of whose rows has boxes.
    """
    left = ",".join(key for key in constraint_keys if key != BOXED)
    return (
        f"fgrpo.constraint_keys=[{','.join(constraint_keys)}]: no row of {where} has boxes, so {BOXED} would never be "
        "measured; "
        + (f"leave it out: fgrpo.constraint_keys=[{left}]" if left else "give rows with boxes, or another constraint")
    )
