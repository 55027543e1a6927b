"""What servers make of pictures that are named in a request instead of sent; `tests/judge_endpoint.py` uses it.

"refused": an item without a picture is an error, as the protocol has it; "kept": vLLM 0.29, word for word, which keeps
pictures under their uuid; "forgotten": the same with a cache that holds nothing; "unseen": nobody looks whether there
is one, so that the model answers blindly; "strict": a uuid is an error, too; "broken" and "busy":
an error of the server, and that it is asked too often.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi.responses import JSONResponse, Response

STATUS = {"broken": 500, "busy": 429}
MISS = "Cache miss for image at index {} but data is not provided."


class NamedPictures:
    """The pictures that a server holds, and what it saw.

    Attributes:
        kind: see above.
        held: pictures by their names.
        sent: pictures that came in requests.
        refused: requests that were refused for their names.
        received: bytes of all requests.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.held: dict[str, Any] = {}
        self.sent = self.refused = self.received = 0

    def counts(self) -> dict[str, int]:
        return {"sent": self.sent, "refused": self.refused, "received": self.received}

    def read(self, content: bytes) -> tuple[dict[str, Any], Response | None]:
        """A request's body with the pictures that it names, or the refusal."""
        body = json.loads(content)
        self.received += len(content)
        items = [part for message in body["messages"] for part in message["content"] if isinstance(part, dict)]
        for index, item in enumerate(item for item in items if item["type"] == "image_url"):
            name, picture = item.get("uuid"), item["image_url"]
            self.sent += bool(picture)
            if name is None or self.kind == "unseen" or (picture and self.kind in ("refused", "broken", "busy")):
                continue
            if self.kind not in ("kept", "forgotten"):
                return body, self._refusal("Input should be a valid dictionary", STATUS.get(self.kind, 400))
            item["image_url"] = self.held.get(name, picture)  # as vLLM does, whatever was sent this time
            if not item["image_url"]:
                return body, self._refusal(MISS.format(index), 400)
            if self.kind == "kept":
                self.held[name] = item["image_url"]
        return body, None

    def _refusal(self, message: str, status: int) -> Response:
        self.refused += 1
        error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
        return JSONResponse({"error": error}, status)
