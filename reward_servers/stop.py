"""`fgrpo judge stop [overrides]`: end the judge servers of a run, and nothing else."""

from __future__ import annotations

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.served import actor_name
from reward_servers.cluster import end, running


def stop(settings: FgrpoConfig) -> list[str]:
    """End every judge server in a run's namespace, printing one line each.

    Returns:
        Nothing that failed.

    Raises:
        TimeoutError: when a server does not end.
    """
    for name in running(settings.namespace):
        if end(name, settings.namespace):
            print(f"{actor_name(name)}: ended in namespace {settings.namespace}")
    return []
