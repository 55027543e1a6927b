"""Stands in for `vllm serve`: takes its arguments, has a worker process as it has, and always answers YES."""

import argparse
import os
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--host", required=True)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--served-model-name", required=True)
parser.add_argument("--tensor-parallel-size", type=int, required=True)
parser.add_argument("--gpu-memory-utilization", type=float, required=True)
parser.add_argument("--ready-after", type=float, default=0.0, help="seconds of loading")
parser.add_argument("--dies-with", default="", help="last words instead of a server")
given = parser.parse_args()

print("\x1b[36mINFO\x1b[0m loading", given.model, flush=True)
worker = subprocess.Popen(["sleep", "600"])
if given.dies_with:
    sys.exit(f"RuntimeError: {given.dies_with}")
time.sleep(given.ready_after)

# Only now: importing a web server takes seconds on a busy machine, and the tests read what is printed before.
import uvicorn  # noqa: E402
from fastapi import FastAPI  # noqa: E402

app = FastAPI()


@app.get("/health")
def health() -> None:
    pass


@app.get("/about")
def about() -> dict:
    return {"pid": os.getpid(), "worker": worker.pid, "argv": sys.argv[1:], "env": dict(os.environ)}


@app.post("/v1/chat/completions")
def chat(request: dict) -> dict:
    message = {"role": "assistant", "content": "YES"}
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


uvicorn.run(app, host=given.host, port=given.port, log_level="warning")
