"""A checkpoint of a run as a Hugging Face folder.

The folder has weights, tokenizer, processor, chat template and README.md, ready for `vllm serve`; it appears under its
name in one step. Weights come from verl's own export (`actor/huggingface`) where the checkpoint has one, otherwise from
its FSDP shards by the host's merger (`python -m verl.model_merger`, EasyR1's `scripts/model_merger.py`); a LoRA adapter
is merged into its base.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from easyr1_fgrpo.checkpoints import (
    STATE_FILE,
    CheckpointError,
    checkpoint_problems,
    exported_model,
    finished_step,
    step_folder,
    step_of,
)
from easyr1_fgrpo.export.card import model_card
from easyr1_fgrpo.files import taken, whole_folder
from easyr1_fgrpo.host import find_host
from easyr1_fgrpo.terminal import progress_bar

_LONGEST = 300
"""Characters of what a merger says."""

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*")
MERGED = "merged"
"""Folder of a checkpoint whose weights had to be merged to be measured; it goes with its checkpoint."""

ADAPTER = "lora_adapter"
"""Folder with the adapter of a LoRA run: verl's merger writes it, EasyR1 in a checkpoint."""

EXPORTED = exported_model(Path()).name
EASYR1S_SHARDS = "model_world_size_*_rank_*.pt"


@dataclass(frozen=True)
class Checkpoint:
    """One `global_step_N` of a run.

    Attributes:
        run: the run's folder, with config.yaml.
        folder: the checkpoint.
        step: N.
    """

    run: Path
    folder: Path
    step: int

    @property
    def actor(self) -> Path:
        """Verl's files of the policy."""
        return self.folder / "actor"

    @property
    def exported(self) -> Path:
        """Verl's Hugging Face folder: always configuration and tokenizer, weights where the run saves hf_model."""
        return exported_model(self.folder)


def export(source: Path, out: Path) -> Checkpoint:
    """Write the Hugging Face folder of a checkpoint.

    Args:
        source: a run's folder, for its last whole checkpoint, or one of its `checkpoints/global_step_N`.
        out: folder to write; must be new or empty.

    Returns:
        The checkpoint that was taken.

    Raises:
        CheckpointError: when there is no whole checkpoint, or `out` is taken; in one line.
    """
    checkpoint = find_checkpoint(source)
    if taken(out):
        raise CheckpointError(f"{out} is there already: remove it or choose another folder")
    card = model_card(checkpoint.run, checkpoint.folder, checkpoint.step, out.name)
    with whole_folder(out) as folder:
        _write_model(checkpoint, folder)
        _check(folder)
        (folder / "README.md").write_text(card, encoding="utf-8")
    return checkpoint


def loadable(checkpoint: Path) -> Path:
    """The Hugging Face folder of a checkpoint: verl's, or, where that has no weights, one merged beside it.

    An adapter's has none (verl would write names that no model has), and a run may save its shards alone.

    Args:
        checkpoint: `global_step_N` of a run.

    Raises:
        CheckpointError: when it is not whole.
    """
    written, merged = exported_model(checkpoint), checkpoint / MERGED
    if any(any(written.glob(pattern)) for pattern in _WEIGHTS) and not _adapted(checkpoint):
        return written
    if not merged.exists():
        export(checkpoint, merged)
    return merged


def find_checkpoint(source: Path) -> Checkpoint:
    """The checkpoint that a path means.

    Raises:
        CheckpointError: when it means none, or one that verl has not finished.
    """
    named = step_of(source.resolve())
    checkpoints = source / "checkpoints" if named is None else source.resolve().parent
    last = finished_step(checkpoints)
    step = last if named is None else named
    if step is None:
        raise CheckpointError(f"{source}: no checkpoint; give a run's folder or one of its checkpoints/global_step_N")
    folder = step_folder(checkpoints, step)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such checkpoint")
    if last is not None and step > last:
        raise CheckpointError(f"{folder}: half-written; the last whole one is global_step_{last}")
    run = checkpoints.parent
    for needed in (run / "config.yaml", folder / STATE_FILE, exported_model(folder) / "config.json"):
        if not needed.is_file():
            raise CheckpointError(f"{folder}: {needed} is missing, so this is no whole checkpoint of a run")
    return Checkpoint(run, folder, step)


# ---------------------------------------------------------------------- weights and what belongs to them


def _write_model(checkpoint: Checkpoint, folder: Path) -> None:
    adapted = _adapted(checkpoint.folder)
    if not adapted and any(any(checkpoint.exported.glob(pattern)) for pattern in _WEIGHTS):
        _copy_files(checkpoint.exported, folder)
        return
    if _easyr1s(checkpoint.run):
        _merge_easyr1s_shards(checkpoint.actor, folder)
        return
    _merge_shards(checkpoint.actor, folder)
    if adapted:
        _merge_adapter(folder)
    # Without torchvision verl's merger leaves the processor out.
    for path in checkpoint.exported.iterdir():
        if not (folder / path.name).exists() and not any(path.match(pattern) for pattern in _WEIGHTS):
            shutil.copy(path, folder)


def _easyr1s(run: Path) -> bool:
    """Whether EasyR1 trained the run: its config has its keys."""
    return "worker" in OmegaConf.load(run / "config.yaml")


def _adapted(checkpoint: Path) -> bool:
    return (checkpoint / "actor" / "lora_train_meta.json").exists()


def _copy_files(source: Path, folder: Path) -> None:
    paths = [path for path in sorted(source.rglob("*")) if path.is_file()]
    total = sum(path.stat().st_size for path in paths)
    with progress_bar(total=total, desc="Copying", unit="B", unit_scale=True, delay=1.0) as bar:
        for path in paths:
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            bar.update(path.stat().st_size)


def _merge_shards(actor: Path, folder: Path) -> None:
    """Verl's shards into a Hugging Face folder."""
    described = actor / "fsdp_config.json"
    world = json.loads(described.read_text())["world_size"] if described.exists() else 0
    shards = [actor / f"model_world_size_{world}_rank_{rank}.pt" for rank in range(world)]
    if not shards:
        raise CheckpointError(f"{actor}: no weights, neither in huggingface/ nor as FSDP shards")
    if absent := [shard for shard in shards if not shard.exists()]:
        raise CheckpointError(f"{absent[0]} is missing: {len(absent)} of {world} FSDP shards are not there")
    merge = ["-m", "verl.model_merger", "merge", "--backend", "fsdp"]
    _run_merger(actor, world, [*merge, "--local_dir", str(actor), "--target_dir", str(folder)])


def _merge_easyr1s_shards(actor: Path, folder: Path) -> None:
    """EasyR1's shards into a Hugging Face folder; its merger writes beside what it reads, which is links here."""
    shards, host = sorted(actor.glob(EASYR1S_SHARDS)), find_host()
    script = host.folder.parent / "scripts/model_merger.py" if host and host.kind == "easyr1" else None
    if script is None or not script.is_file():
        raise CheckpointError(
            f"{actor}: EasyR1 wrote these FSDP shards, and merges them: in an environment with its checkout, "
            f"`fgrpo export` again, or python EASYR1/scripts/model_merger.py --local_dir {actor}"
        )
    work = folder / ".merging"
    shutil.copytree(actor / EXPORTED, work / EXPORTED)
    for path in (*shards, actor / ADAPTER):
        if path.exists():
            (work / path.name).symlink_to(path.absolute())
    _run_merger(actor, len(shards), [str(script), "--local_dir", str(work)])
    for path in (work / EXPORTED).iterdir():
        path.rename(folder / path.name)
    shutil.rmtree(work)


def _run_merger(actor: Path, shards: int, merge: list[str]) -> None:
    print(f"merging {shards} FSDP shards of {actor}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, *merge], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        last = (done.stdout.strip() or "no output").splitlines()[-1][:_LONGEST]
        raise CheckpointError(f"{actor}: the host's merger could not merge the FSDP shards ({last})")


def _merge_adapter(folder: Path) -> None:
    """Turn a base model with an adapter beside it into one model."""
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    base = AutoModelForImageTextToText.from_pretrained(folder, dtype="bfloat16")
    merged = PeftModel.from_pretrained(base, folder / ADAPTER).merge_and_unload()
    for pattern in _WEIGHTS:
        for path in folder.glob(pattern):
            path.unlink()
    merged.save_pretrained(folder)
    shutil.rmtree(folder / ADAPTER)


# ---------------------------------------------------------------------- is it whole


def _check(folder: Path) -> None:
    """Refuse a folder that could not be served: parts missing, weights cut off, no chat template."""
    from safetensors import SafetensorError, safe_open

    from easyr1_fgrpo.generation.processor import load_processor

    problems = [line.removeprefix(f"{folder}: ") for line in checkpoint_problems(folder)]
    listed = {shard for index in folder.glob("*.safetensors.index.json") for shard in _listed(index)}
    absent = sorted(shard for shard in listed if not (folder / shard).exists())
    problems += [f"{shard}, which the index lists, is missing" for shard in absent]
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy"):
                pass
        except SafetensorError as error:
            problems.append(f"{path.name} is cut off or damaged ({error})")
    if problems:
        raise CheckpointError(f"half-written checkpoint: {problems[0]}")
    try:
        processor: Any = load_processor(str(folder))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the checkpoint's processor cannot be loaded ({str(error).splitlines()[0]})") from error
    if not (getattr(processor, "chat_template", None) or processor.tokenizer.chat_template):
        raise CheckpointError("the checkpoint has no chat template: copy chat_template.jinja of its base model into it")


def _listed(index: Path) -> set[str]:
    return set(json.loads(index.read_text())["weight_map"].values())
