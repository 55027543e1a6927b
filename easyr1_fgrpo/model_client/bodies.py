"""Bodies of answers, as far as anybody needs them: a server cannot fill our memory."""

from __future__ import annotations

import aiohttp

MAX_BODY = 8 << 20
"""Bytes of an answer's body, unpacked.

A response of 100,000 tokens with its thinking, or a hub's list of models, is 2 MB at most. A client has some 64 calls
under way, so all bodies together stay below half a GiB whatever a server sends.
"""

PIECE = 64 << 10


class OversizedBody(Exception):  # noqa: N818 - what a server sends
    """A body of more than `MAX_BODY` bytes; the message says what is known of its size."""


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """The whole body; a compressed one is unpacked piece by piece, so that a bomb ends at the limit, too.

    Raises:
        OversizedBody: when it is, or says that it is, larger than `MAX_BODY`; the rest of it is not read.
    """
    declared = response.content_length or 0
    if declared > MAX_BODY:
        response.close()
        raise OversizedBody(f"a body of {declared:,} bytes")
    body = bytearray()
    async for piece in response.content.iter_chunked(PIECE):
        body += piece
        if len(body) > MAX_BODY:
            body.clear()  # the error's traceback holds it as long as anybody, if only a cycle, holds the error
            response.close()
            raise OversizedBody(f"a body without an end in its first {MAX_BODY:,} bytes")
    return bytes(body)
