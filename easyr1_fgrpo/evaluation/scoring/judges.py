"""Who judges an evaluation: the config's judges, or nobody."""

from __future__ import annotations

import os
from collections.abc import Sequence

from easyr1_fgrpo.config.judges import ModelJudgeConfig
from easyr1_fgrpo.config.schema import FgrpoConfig, RewardSettings
from easyr1_fgrpo.evaluation.scoring.score import NOBODY, Scoring
from easyr1_fgrpo.judges.factory import build_judges
from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Question, Verdict


class NoJudge:
    """Stands in where no judge was given: every question stays unjudged."""

    name = NOBODY

    async def ask(self, request: JudgeRequest) -> Verdict:
        """No label, and why."""
        return Verdict(None, self.name, Failure.UNREACHABLE, cause="no judge was given")


def read_judges(overrides: Sequence[str]) -> Scoring:
    """Build the judges that Hydra overrides name, like `judge=oracle`; nobody judges when there are none.

    Raises:
        ValueError: for overrides that cannot be used (`ConfigError`), or a judge that cannot be built.
    """
    if not overrides:
        return Scoring(dict.fromkeys(Question, NoJudge()), {}, RewardSettings(judge_scope="all"))
    from easyr1_fgrpo.config.load import load_config, read_settings

    return judges_of(read_settings(load_config(overrides)))


def judges_of(settings: FgrpoConfig) -> Scoring:
    """The judges of a config, for a process without Ray: embedded ones are built here.

    Raises:
        ValueError: when a judge cannot be built, or its API key is not here.
    """
    for question, judge in settings.judges.items():
        key = judge.api_key_env if isinstance(judge, ModelJudgeConfig) else ""
        if key and not os.environ.get(key):
            raise ValueError(f"fgrpo.judges.{question}.api_key_env={key}: no such environment variable here; export it")
    try:
        judges = {**dict.fromkeys(Question, NoJudge()), **build_judges(settings, in_process=True)}
    except (TypeError, OSError) as error:  # from a judge's own constructor
        raise ValueError(f"a judge cannot be built: {error}") from error
    judged_by = settings.model_dump(mode="json", include={"judges", "reward_servers"})
    return Scoring(judges, judged_by, settings.reward.for_validation())
