"""From config to judges: who answers which question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from easyr1_fgrpo.config.schema import JudgeConfig
from easyr1_fgrpo.judges.protocol import Judge, Question


def build_judges(
    configs: Mapping[Literal["consistency", "grounding"], JudgeConfig], namespace: str
) -> dict[Question, Judge]:
    """One judge per question that has a config.

    Args:
        configs: by question, "consistency" and "grounding".
        namespace: the Ray namespace of this run's judge servers.
    """
    return {Question(name): _build(config, namespace) for name, config in configs.items()}


def _build(config: JudgeConfig, namespace: str) -> Judge:
    if config.kind == "server":
        from easyr1_fgrpo.judges.served import ServedJudge

        return ServedJudge(config.server, namespace)
    from easyr1_fgrpo.judges.local import load_judge

    return load_judge(config.target, config.options)
