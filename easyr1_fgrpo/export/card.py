"""The model card of an exported checkpoint: what was trained, on what terms, and what was measured of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from omegaconf import OmegaConf

from easyr1_fgrpo.checkpoints import checkpoint_sha256, exported_model, read_state

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_LONGEST = 200


def model_card(run: Path, checkpoint: Path, step: int, name: str) -> str:
    """The card's Markdown.

    Folders of the machine that trained, and addresses of judges, are left out: cards are published.

    Args:
        run: the run's folder: config.yaml, and results in evaluation/.
        checkpoint: its `global_step_N`, with fgrpo.json.
        step: N.
        name: the model's.
    """
    config: Any = OmegaConf.to_container(OmegaConf.load(run / "config.yaml"), resolve=True)
    fgrpo, data = config["fgrpo"], config["data"]
    base, prompts, rollouts = _trained(config)
    on_hub = _HUB_ID.fullmatch(base) is not None
    multipliers = read_state(checkpoint)["multipliers"]
    train_files = data["train_files"] if isinstance(data["train_files"], list) else [data["train_files"]]
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"plain": _plain, "number": _number}
    return environment.from_string((files("easyr1_fgrpo.export") / "card.jinja").read_text(encoding="utf-8")).render(
        name=name,
        base_model=base if on_hub else "",
        base=base if on_hub else f"{Path(base).name} (a checkpoint of the same project)",
        arm=config.get("arm", "custom"),
        task=fgrpo["reward"]["task"],
        step=step,
        prompts=prompts,
        rollouts=rollouts,
        data=[Path(path).name for path in train_files],
        judges=_judges(fgrpo),
        constraints={
            key: {"judge_error": None, **fgrpo["constraints"][key], "multiplier": multipliers[key]}
            for key in fgrpo["constraint_keys"]
        },
        evaluations=_evaluations(run, checkpoint),
    )


def _trained(config: Mapping[str, Any]) -> tuple[str, int, int]:
    """Base model, prompts of a step and rollouts of a prompt, by the keys of the host that trained."""
    data = config["data"]
    if (worker := config.get("worker")) is not None:  # EasyR1's
        return str(worker["actor"]["model"]["model_path"]), data["rollout_batch_size"], worker["rollout"]["n"]
    verls = config["actor_rollout_ref"]
    return str(verls["model"]["path"]), data["train_batch_size"], verls["rollout"]["n"]


def _judges(fgrpo: Mapping[str, Any]) -> dict[str, str]:
    """Who judged each question: a model's name, or the class of a judge that is none."""
    judges = {}
    for question, judge in fgrpo["judges"].items():
        server = fgrpo.get("reward_servers", {}).get(judge.get("server") or "", {})
        judges[question] = judge.get("model") or judge.get("target") or server.get("target") or judge["kind"]
    return judges


def _evaluations(run: Path, checkpoint: Path) -> list[dict[str, Any]]:
    """The run's results that were measured from exactly these weights."""
    path = run / "evaluation" / "results.json"
    if not path.exists():
        return []
    evaluation = json.loads(path.read_text(encoding="utf-8"))
    print(f"reading the weights of {checkpoint} to find their evaluations", file=sys.stderr, flush=True)
    measured = checkpoint_sha256(exported_model(checkpoint))
    return [
        {
            "mode": result["mode"],
            "samples": result["totals"]["scored"],
            "data": Path(result["data"].partition(",")[0]).name,
            "judge": ", ".join(dict.fromkeys(evaluation["settings"]["judges"].values())) or "nobody",
            "metrics": {name: estimate for name, estimate in result["metrics"].items() if estimate["n"]},
        }
        for result in evaluation["results"]
        if result["identity"] == measured
    ]


def _plain(text: object) -> str:
    """Text in one line that is no markup in a table cell."""
    line = " ".join(str(text).split())[:_LONGEST]
    return re.sub(r"([\\`*|<>\[\]])", r"\\\1", line)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
