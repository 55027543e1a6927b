"""Every `vllm serve` line that this project writes, through vLLM's own parser: no server is started."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from easyr1_fgrpo.config.judges import VllmServerConfig
from easyr1_fgrpo.config.load import load_config, read_settings
from reward_servers.vllm_server import command_line

if TYPE_CHECKING:
    from argparse import ArgumentParser

pytestmark = pytest.mark.gpu_path

ROOT = Path(__file__).parents[2]
ENDPOINT = ["++judge_endpoint.model=x", "++judge_endpoint.base_urls=[http://h/v1]"]
"""What some judges want to be told and the others do not read."""


@pytest.fixture(scope="module")
def parser() -> ArgumentParser:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    return make_arg_parser(FlexibleArgumentParser())


def configured() -> dict[str, list[str]]:
    """Judge group and server -> what comes after `vllm serve`."""
    lines = {}
    for path in sorted((ROOT / "easyr1_fgrpo/config/judge").glob("*.yaml")):
        settings = read_settings(load_config([f"judge={path.stem}", *ENDPOINT]))
        for name, server in settings.reward_servers.items():
            if isinstance(server, VllmServerConfig):
                lines[f"{path.stem}/{name}"] = command_line(server, "127.0.0.1", 8000)[len(server.command) :]
    return lines


def in_docker() -> list[str]:
    """What docker/Dockerfile.judge hands to `vllm serve`."""
    (command,) = re.findall(r"^CMD (\[\"Qwen.*?\])$", (ROOT / "docker/Dockerfile.judge").read_text(), re.M | re.S)
    return json.loads(command.replace("\\\n", ""))


def test_judges_of_the_configs(parser: ArgumentParser) -> None:
    lines = configured()
    assert set(lines) == {"qwen3_vl_30b/qwen3_vl_30b", "consistency_text/qwen3_vl_30b", "consistency_text/qwen3_4b"}
    for line in lines.values():
        given = parser.parse_args(line)
        assert given.model_tag == line[0]
        assert given.max_model_len == 16384


def test_judge_of_the_image(parser: ArgumentParser) -> None:
    given = parser.parse_args(in_docker())
    assert given.tensor_parallel_size == 2
    assert given.limit_mm_per_prompt == {"image": 8, "video": 0}


def test_an_argument_that_vllm_does_not_know_is_refused(parser: ArgumentParser) -> None:
    with pytest.raises(SystemExit):
        parser.parse_args(["some/model", "--max-modle-len", "16384"])
