"""One chat completion over HTTP: a reply, or why there is none and what that says about the server."""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import time
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from easyr1_fgrpo.model_client.bodies import MAX_BODY, OversizedBody, read_body
from easyr1_fgrpo.model_client.endpoints import Outcome
from easyr1_fgrpo.model_client.replies import ErrorReply, Reply, read_reply

MAX_TEXT = 2000
"""Characters of a server's answer that are stored."""

MAX_CAUSE = 300
"""Characters of a server's words in a cause."""

MAX_RETRY_AFTER_S = 30.0
"""Most seconds a server may tell us to wait; after them it is asked again."""

KEEP_ALIVE_S = 2.0
"""Idle seconds after which we close a connection: before a server does (uvicorn: 5 s), so that no call meets it."""

PASSING = frozenset({408, 409, 429})
"""Client errors that the same request may not meet again; server errors (from 500 on) are taken for passing, too."""

REFUSED = frozenset({401, 403})
"""The key is none, or none for this."""


class CallFailed(Exception):  # noqa: N818 - part of the normal course of things
    """A call without a usable reply; the message is one line without secrets.

    Attributes:
        late: whether there was no answer in time.
        oversized: whether the answer was too large to be read.
        outcome: what it says about the endpoint.
        again: whether another try may end otherwise.
        retry_after_s: how long the server asked us to wait, seconds.
        text: what the server sent instead of a reply, bounded.
        sent: whether the request reached the network at all.
        status: of HTTP, where the server refused; else 0.
    """

    def __init__(
        self,
        cause: str,
        *,
        late: bool = False,
        oversized: bool = False,
        outcome: Outcome = Outcome.FAULT,
        again: bool = True,
        retry_after_s: float = 0.0,
        text: str = "",
        sent: bool = True,
        status: int = 0,
    ) -> None:
        super().__init__(cause)
        self.late = late
        self.oversized = oversized
        self.outcome = outcome
        self.again = again
        self.retry_after_s = retry_after_s
        self.text = text
        self.sent = sent
        self.status = status


class ChatClient:
    """Posts chat completions to any base URL over one pool of connections. For one event loop.

    By aiohttp itself. The `openai` package writes each body anew and takes 3.9 ms of processor time a call instead of
    0.75, at 0.63 of the rate, for pictures of 1,024 px, answers after 200 ms and 64 calls at once on a core that the
    server shares; given the bytes it still takes 1.8 times ours. To measure again:
    `pytest tests/benchmarks/test_judges.py -k package --benchmark-only`.

    Args:
        api_key_env: the environment variable with the API key, read by `connect`; empty for none.
    """

    def __init__(self, api_key_env: str = "") -> None:
        self._api_key_env = api_key_env
        self._api_key = ""
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}

    def connect(self) -> aiohttp.ClientSession:
        """Get ready to call.

        Returns:
            The pool of connections, which `complete` uses.

        Raises:
            CallFailed: when the API key is missing.
        """
        if self._session is None:
            headers = {
                "Authorization": f"Bearer {self._key()}",
                "Content-Type": "application/json",
                "User-Agent": "easyr1-fgrpo",
            }
            self._session = aiohttp.ClientSession(
                # 0 is aiohttp's word for no limit; whoever calls has one.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session

    async def complete(self, url: str, body: bytes, limit_s: float) -> Reply:
        """Post one request.

        Args:
            url: a base URL, with the version (".../v1").
            body: the JSON of the request.
            limit_s: seconds after which the call is given up.

        Raises:
            CallFailed: whenever there is no valid response.
        """
        content = await self._call("POST", url, "/chat/completions", limit_s, body)
        try:
            return read_reply(content)
        except ErrorReply as error:
            raise self._refusal(url, error.status, error.text, "") from None
        except (ValueError, RecursionError) as error:
            raise self._unreadable(url, "chat completion", content, error) from None

    async def models(self, url: str, limit_s: float) -> list[str]:
        """The names of the models that a server says it serves; arguments as of `complete`.

        Raises:
            CallFailed: whenever there is no valid response; with status 404 or 405 where a server has no such list.
        """
        content = await self._call("GET", url, "/models", limit_s)
        try:
            return [str(model["id"]) for model in json.loads(content)["data"]]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise self._unreadable(url, "list of models", content, error) from None

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def storable(self, text: str) -> str:
        """Foreign text as it may be stored: without the API key, encodable, bounded."""
        return self.without_key(text)[:MAX_TEXT].encode("utf-8", "replace").decode()

    def one_line(self, text: str) -> str:
        """Foreign text as it may be shown: without the API key, printable, in one line, bounded."""
        shown = "".join(letter if letter.isprintable() else " " for letter in self.without_key(text)[: 2 * MAX_CAUSE])
        return " ".join(shown.split())[:MAX_CAUSE]

    def without_key(self, text: str) -> str:
        """The text with the API key taken out, wherever a server echoed it."""
        return text.replace(self._api_key, "***") if self._api_key else text

    def _proxy(self, url: str) -> str | None:
        """The proxy that the environment names for a server (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), looked up once.

        Left to aiohttp (`trust_env`), each call would read it again, and ~/.netrc, which has no say where a key goes.
        """
        if url not in self._proxies:
            parts = urlsplit(url)
            self._proxies[url] = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
        return self._proxies[url]

    async def _call(self, method: str, url: str, path: str, limit_s: float, body: bytes | None = None) -> bytes:
        """The body of a good answer."""
        call = self.connect().request(
            method, f"{url.rstrip('/')}{path}", data=body, allow_redirects=False, proxy=self._proxy(url)
        )
        try:
            async with asyncio.timeout(limit_s), call as response:
                content = await read_body(response)
        except TimeoutError:
            raise CallFailed(f"{url} gave no answer within {limit_s:.3g} s", late=True) from None
        except OversizedBody as error:  # the same question would bring the same bytes
            cause = f"{url} sent {error}, and {MAX_BODY:,} are the most that is read"
            raise CallFailed(cause, oversized=True, again=False) from None
        except aiohttp.ClientError as error:
            root = list(_causes(error))[-1]
            sent = not isinstance(error, aiohttp.ClientConnectorError)
            what = "broke the connection" if sent else "is not there"
            raise CallFailed(f"{url} {what} ({self.one_line(f'{type(root).__name__}: {root}')})", sent=sent) from None
        if not 200 <= response.status < 300:
            text = content.decode("utf-8", "replace")
            raise self._refusal(url, response.status, text, response.headers.get("Retry-After", ""))
        return content

    def _key(self) -> str:
        """The API key; what stands for it where none is wanted."""
        if self._api_key_env and not self._api_key:
            self._api_key = os.environ.get(self._api_key_env, "").strip()
            if not self._api_key:
                raise CallFailed(
                    f"the environment variable {self._api_key_env} (api_key_env) is not set here: export the API key",
                    outcome=Outcome.UNKNOWN,
                    again=False,
                    sent=False,
                )
        return self._api_key or "none"

    def _unreadable(self, url: str, what: str, content: bytes, error: Exception) -> CallFailed:
        cause = f"{url} answered with no {what} ({self.one_line(str(error))})"
        return CallFailed(cause, text=self.storable(content.decode("utf-8", "replace")))

    def _refusal(self, url: str, status: int, text: str, retry_after: str) -> CallFailed:
        cause = f"{url} answered {status}: {self.one_line(text) or 'nothing more'}"
        if status in REFUSED:
            cause += (
                f"; check the API key in {self._api_key_env}"
                if self._api_key_env
                else "; name a key by api_key_env, of a model by key="
            )
        return CallFailed(
            cause,
            outcome=Outcome.FAULT if status >= 500 else Outcome.ALIVE,
            again=status >= 500 or status in PASSING or status == 200,  # an error that names no status
            retry_after_s=_retry_after_s(retry_after) if status in (429, 503) else 0.0,
            text=self.storable(text),
            status=status,
        )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, down to the root."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _retry_after_s(header: str) -> float:
    """Seconds of a Retry-After header (RFC 9110: a number of seconds or a date), bounded; 0 when it says neither."""
    try:
        seconds = float(header) if header.strip().isdecimal() else _seconds_until(header)
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _seconds_until(date: str) -> float:
    return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
