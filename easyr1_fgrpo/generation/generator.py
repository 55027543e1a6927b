"""Batched generation with `transformers.generate`: fixed shapes, seeded rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from PIL.Image import Image
from transformers import AutoModelForImageTextToText, GenerationConfig, LogitsProcessorList

from easyr1_fgrpo.generation.processor import load_processor
from easyr1_fgrpo.generation.sampling import Sampling, SeededGumbel

# An image placeholder in a response has no image behind it and would break the positions of the whole row.
_IMAGE_TOKENS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")


@dataclass(frozen=True)
class Prompt:
    """One request: token ids with one placeholder per image patch, its images, and how to draw."""

    ids: tuple[int, ...]
    images: tuple[Image, ...]
    sampling: Sampling
    max_new_tokens: int


@dataclass(frozen=True)
class Completion:
    """Generated token ids, the end token included, and why generation stopped.

    Attributes:
        ids: the tokens.
        log_probs: of each token under softmax of the raw logits (temperature 1).
        stop_reason: "completed" with an end token, or "length".
    """

    ids: list[int]
    log_probs: list[float]
    stop_reason: str


class Generator:
    """A model that completes prompts in batches of one fixed shape (rows x prompt_length), in float32 on the CPU.

    The shape is fixed so that the arithmetic of a row does not depend on how many others share its batch. Where batches
    always come out the same, prompt_length=None saves padding: a batch is as wide as its longest prompt.
    """

    def __init__(
        self, model_path: str, *, rows: int, prompt_length: int | None, trust_remote_code: bool = False
    ) -> None:
        """Load a checkpoint.

        Raises:
            ValueError: when it lacks weights of its model, which transformers would draw at random.
        """
        self.processor = load_processor(model_path, trust_remote_code=trust_remote_code)
        model, loaded = AutoModelForImageTextToText.from_pretrained(
            model_path, dtype=torch.float32, trust_remote_code=trust_remote_code, output_loading_info=True
        )
        if missing := sorted(loaded["missing_keys"]):
            raise ValueError(
                f"{model_path} lacks {len(missing)} weights of its model ({', '.join(missing[:3])}), which would be "
                "random; a run with an adapter is exported by recipes/export_hf.sh"
            )
        self.model: Any = model.eval()
        tokenizer, config = self.processor.tokenizer, self.model.config
        eos = self.model.generation_config.eos_token_id
        self.eos_ids = {tokenizer.eos_token_id, *(eos if isinstance(eos, list) else [eos])} - {None}
        self.pad_id: int = tokenizer.pad_token_id
        # Released models bring a repetition penalty and more, which `generate` would apply on top of what is asked for.
        self.model.generation_config = GenerationConfig(eos_token_id=sorted(self.eos_ids), pad_token_id=self.pad_id)
        self.image_id: int = config.image_token_id
        self.banned_ids: list[int] = sorted({getattr(config, name) for name in _IMAGE_TOKENS if hasattr(config, name)})
        self._wants_types = "mm_token_type_ids" in signature(self.model.forward).parameters  # not in transformers 4
        self.rows = rows
        self.prompt_length = prompt_length

    def decode(self, completion: Completion) -> str:
        """The text of a completion, without special tokens."""
        text: str = self.processor.tokenizer.decode(completion.ids, skip_special_tokens=True)
        return text

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Copy named tensors into the model; nothing is copied when one does not fit.

        Raises:
            ValueError: when a name is unknown, a shape differs, or a weight of the model was not given.
        """
        own = self.model.state_dict()
        given = dict(weights)
        missing = own.keys() - given.keys() - self._tied_names()
        unknown = given.keys() - own.keys()
        differing = {name for name in given.keys() & own.keys() if given[name].shape != own[name].shape}
        if missing or unknown or differing:
            named = {"missing": missing, "unknown": unknown, "of another shape": differing}
            found = ", ".join(f"{what} {sorted(names)[:3]}" for what, names in named.items() if names)
            raise ValueError(f"trainer and rollout disagree about weights: {found}")
        with torch.no_grad():
            for name, tensor in given.items():
                own[name].copy_(tensor)

    def _tied_names(self) -> set[str]:
        return {"lm_head.weight"} if self.model.config.get_text_config().tie_word_embeddings else set()

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Complete all prompts, `rows` at a time; the answers have the order of the prompts.

        Raises:
            ValueError: when a prompt is longer than the fixed shape; nothing is generated then.
        """
        longest = max((len(prompt.ids) for prompt in prompts), default=0)
        if self.prompt_length is not None and longest > self.prompt_length:
            raise ValueError(
                f"a prompt has {longest} tokens, batches hold {self.prompt_length}: raise data.max_prompt_length"
            )
        completions: list[Completion] = []
        for start in range(0, len(prompts), self.rows):
            completions += self._complete_batch(prompts[start : start + self.rows])
        return completions

    @torch.inference_mode()
    def _complete_batch(self, prompts: Sequence[Prompt]) -> list[Completion]:
        filled = [*prompts, *[prompts[0]] * (self.rows - len(prompts))]
        width = self.prompt_length or max(len(prompt.ids) for prompt in prompts)
        input_ids = torch.full((self.rows, width), self.pad_id)
        attention_mask = torch.zeros_like(input_ids)
        for row, prompt in enumerate(filled):
            input_ids[row, width - len(prompt.ids) :] = torch.tensor(prompt.ids)
            attention_mask[row, width - len(prompt.ids) :] = 1
        images = [image for prompt in filled for image in prompt.images]
        vision = self.processor.image_processor(images=images, return_tensors="pt") if images else {}
        gumbel = SeededGumbel([prompt.sampling for prompt in filled], self.banned_ids)
        sequences = self.model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            **({"mm_token_type_ids": (input_ids == self.image_id).int()} if self._wants_types else {}),
            **vision,
            do_sample=False,
            max_new_tokens=max(prompt.max_new_tokens for prompt in filled),
            logits_processor=LogitsProcessorList([gumbel]),
        )
        ids = sequences[:, width:].tolist()
        log_probs = torch.stack(gumbel.log_probs, dim=1).tolist()
        return [self._cut(*row) for row in zip(ids, log_probs, prompts, strict=False)]

    def _cut(self, ids: list[int], log_probs: list[float], prompt: Prompt) -> Completion:
        limit = min(len(ids), prompt.max_new_tokens)
        end = next((position for position in range(limit) if ids[position] in self.eos_ids), None)
        length = limit if end is None else end + 1
        return Completion(ids[:length], log_probs[:length], "length" if end is None else "completed")
