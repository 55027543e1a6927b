"""Asks a model behind OpenAI-compatible URLs, and waits for it while it is away."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from easyr1_fgrpo.model_client.chat import CallFailed
from easyr1_fgrpo.model_client.endpoints import NoEndpoint
from easyr1_fgrpo.model_client.replies import Reply
from easyr1_fgrpo.model_client.retrying import Retries, RetryingClient

ATTEMPTS = 4
"""Failed answers to one question (errors of the server, broken or late answers) after which it is given up."""

PATIENCE_S = 300.0
"""Seconds without a sign of life from any URL after which a model counts as gone."""

SHOWN = 20
"""Names of models in a message."""


class ModelGone(Exception):  # noqa: N818 - the evaluation ends here and can go on later
    """A model that cannot be asked any more; the message names its URLs and the cause."""


@dataclass(frozen=True)
class Address:
    """Where a model is served.

    Attributes:
        urls: base URLs like http://host:8000/v1; calls go to the least busy one that is alive.
        api_key_env: name of the environment variable with the API key; "" for none.
        served: the model's name there; "" for the only one.
    """

    urls: tuple[str, ...]
    api_key_env: str = ""
    served: str = ""


class ModelClient:
    """One model. For one event loop; within `async with`, which closes its connections.

    Args:
        address: where it is served.
        concurrency: calls under way at each URL at most.
        deadline_s: seconds for one answer.
        patience_s: see `PATIENCE_S`.
    """

    def __init__(
        self, address: Address, *, concurrency: int, deadline_s: float, patience_s: float = PATIENCE_S
    ) -> None:
        self.address = address
        self._deadline_s = deadline_s
        self._patience_s = patience_s
        self._client = RetryingClient(
            address.urls,
            api_key_env=address.api_key_env,
            limit=concurrency,
            deadline_s=deadline_s,
            retries=Retries(ATTEMPTS, patience_s=patience_s),
        )

    async def served_name(self) -> str:
        """The name under which the server knows the model.

        Raises:
            ModelGone: when the server does not come up, refuses our key, or does not serve what was asked for.
        """
        names = await self._served_names()
        wanted, where = self.address.served, self.address.urls[0]
        if wanted:
            if names and wanted not in names:
                raise ModelGone(f"{where} does not serve {wanted!r}, it serves {_some(names)}")
            return wanted
        if len(names) != 1:
            what = f"serves {len(names)} models" if names else "does not list its models"
            raise ModelGone(f"{where} {what}: name one by served=MODEL")
        return names[0]

    async def complete(self, body: bytes) -> Reply:
        """Post one chat completion.

        Returns:
            The reply, once there is one: a dead URL is waited for.

        Raises:
            CallFailed: when the server refuses this request, or fails at it `ATTEMPTS` times.
            ModelGone: after `patience_s` without a sign of life, or when the API key is missing.
        """
        try:
            return await self._client.ask(body)
        except NoEndpoint as error:
            raise self._gone(str(error)) from None
        except CallFailed as error:
            if not error.sent:
                raise self._gone(str(error)) from None
            raise

    async def __aenter__(self) -> ModelClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def _served_names(self) -> list[str]:
        """What the first URL that answers says it serves; nothing where it has no such list."""
        started = time.monotonic()
        while True:
            for url in self.address.urls:
                try:
                    return await self._client.chat.models(url, self._deadline_s)
                except CallFailed as error:
                    if error.status in (404, 405):
                        return []
                    if not error.again:
                        raise self._gone(str(error)) from None
                    cause = str(error)
            if time.monotonic() - started > self._patience_s:
                raise self._gone(cause)
            await asyncio.sleep(1.0)

    def _gone(self, cause: str) -> ModelGone:
        return ModelGone(f"the model at {', '.join(self.address.urls)} cannot be asked: {cause}")


def _some(names: list[str]) -> str:
    """A list that foreign names and their number keep within bounds."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name[:100]) for name in names[:SHOWN]) + more
