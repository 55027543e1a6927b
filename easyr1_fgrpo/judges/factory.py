"""From config to judges, who answers which question; or one judge without a config."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from easyr1_fgrpo.config.judges import (
    JudgeCacheSettings,
    JudgeConfig,
    LocalJudgeConfig,
    ModelJudgeConfig,
    ServerJudgeConfig,
)
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.local import load_judge
from easyr1_fgrpo.judges.protocol import Judge, Question


def build_judges(
    settings: FgrpoConfig, share: tuple[int, int] = (0, 1), *, cache: bool = True, in_process: bool = False
) -> dict[Question, Judge]:
    """One judge per question that has a config.

    Args:
        settings: the key `fgrpo` of the config.
        share: this process's number and how many processes ask; they share a model judge's concurrency.
        cache: whether model judges cache verdicts and use cached ones (`judge_cache`).
        in_process: build the judges of embedded servers here instead of asking their Ray actors.

    Raises:
        ValueError: when a judge cannot be built.
    """
    judges: dict[Question, Judge] = {}
    for name, config in settings.judges.items():
        # Questions whose judges are configured alike have one judge: they share its connections and concurrency.
        alike = [Question(other) for other, same in settings.judges.items() if same == config]
        judges[Question(name)] = judges.get(alike[0]) or _build(config, alike, settings, share, cache, in_process)
    return judges


async def close(judges: Iterable[Judge]) -> None:
    """Close the connections of judges that hold some."""
    for judge in judges:
        if (closing := getattr(judge, "close", None)) is not None:
            await closing()


def model_judge(model: str, base_urls: str | Sequence[str], *, cache: str = "", **options: Any) -> Judge:
    """A language model as a judge of both questions, without a config file.

    Args:
        model: the name under which the servers know it.
        base_urls: like http://host:8000/v1, one or several.
        cache: a folder on a local disk in which verdicts are cached; empty asks every time.
        options: further fields of `ModelJudgeConfig`: `api_key_env`, `concurrency`, `coordinates`, ...

    Raises:
        ValueError: for a field that `ModelJudgeConfig` does not have, or a value that it refuses.
    """
    from easyr1_fgrpo.judges.cache import VerdictCache
    from easyr1_fgrpo.judges.openai_compatible import OpenAICompatibleJudge

    given = [base_urls] if isinstance(base_urls, str) else list(base_urls)
    config = ModelJudgeConfig(kind="openai_compatible", model=model, base_urls=given, **options)

    async def urls() -> list[str]:
        return config.base_urls

    known = VerdictCache(cache, JudgeCacheSettings().max_gib) if cache else None
    return OpenAICompatibleJudge(config, urls=urls, cache=known)


def _build(
    config: JudgeConfig,
    questions: Sequence[Question],
    settings: FgrpoConfig,
    share: tuple[int, int],
    cache: bool,
    in_process: bool,
) -> Judge:
    if isinstance(config, ModelJudgeConfig):
        return _model_judge(config, questions, settings, share, cache)
    if isinstance(config, LocalJudgeConfig):
        return load_judge(config.target, config.options)
    if in_process:
        return _embedded_judge(config, settings)
    from easyr1_fgrpo.judges.served import ServedJudge

    return ServedJudge(config.server, settings.namespace)


def _model_judge(
    config: ModelJudgeConfig, questions: Sequence[Question], settings: FgrpoConfig, share: tuple[int, int], cache: bool
) -> Judge:
    from easyr1_fgrpo.judges.cache import VerdictCache
    from easyr1_fgrpo.judges.openai_compatible import OpenAICompatibleJudge

    async def urls() -> list[str]:
        from easyr1_fgrpo.judges.served import server_urls

        return config.base_urls or await server_urls(config.server, settings.namespace)

    files = settings.judge_cache
    known = VerdictCache(files.directory, files.max_gib) if cache and files.directory else None
    return OpenAICompatibleJudge(config, urls=urls, share=share, cache=known, questions=questions)


def _embedded_judge(config: ServerJudgeConfig, settings: FgrpoConfig) -> Judge:
    server = settings.reward_servers[config.server]
    assert server.kind == "embedded"  # the schema has seen to it
    return load_judge(server.target, server.options)
