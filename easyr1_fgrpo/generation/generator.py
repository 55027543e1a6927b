"""Batched generation with `transformers.generate`: fixed shapes, seeded rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, LogitsProcessorList

from easyr1_fgrpo.generation.processor import load_processor
from easyr1_fgrpo.generation.sampling import Sampling, SeededGumbel


@dataclass(frozen=True)
class Prompt:
    """One request: token ids with one placeholder per image patch, its images, and how to draw."""

    ids: tuple[int, ...]
    images: tuple[Any, ...]
    sampling: Sampling
    max_new_tokens: int


@dataclass(frozen=True)
class Completion:
    """Generated token ids with their log-probabilities under the raw logits, and why generation stopped."""

    ids: list[int]
    log_probs: list[float]
    stop_reason: str  # "completed" | "length"


class Generator:
    """A model that completes prompts in batches of one fixed shape (rows x prompt_length).

    The shape is fixed so that the arithmetic of a row does not depend on how many others share its batch.
    """

    def __init__(self, model_path: str, *, rows: int, prompt_length: int, trust_remote_code: bool = False) -> None:
        config = AutoConfig.from_pretrained(model_path, trust_remote_code=trust_remote_code)
        self.processor = load_processor(model_path, trust_remote_code=trust_remote_code)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(
            model_path, dtype=torch.float32, trust_remote_code=trust_remote_code
        ).eval()
        tokenizer = self.processor.tokenizer
        self.pad_id: int = tokenizer.pad_token_id
        eos = self.model.generation_config.eos_token_id
        self.eos_ids = {tokenizer.eos_token_id, *(eos if isinstance(eos, list) else [eos])} - {None}
        # An image placeholder in a response has no image behind it and would break the positions of the whole row.
        names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
        self.image_id: int = config.image_token_id
        self.banned_ids = sorted({int(getattr(config, name)) for name in names if getattr(config, name, None)})
        self.rows = rows
        self.prompt_length = prompt_length

    def encode(self, question: str, images: Sequence[Any]) -> tuple[int, ...]:
        """Token ids of a user's question with its images first, ready for an answer."""
        content = [*({"type": "image"} for _ in images), {"type": "text", "text": question}]
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        return tuple(self.processor(text=[text], images=list(images) or None)["input_ids"][0])

    def decode(self, completion: Completion) -> str:
        """The text of a completion, without special tokens."""
        text: str = self.processor.tokenizer.decode(completion.ids, skip_special_tokens=True)
        return text

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Copy named tensors into the model.

        Raises:
            ValueError: when a name is unknown, or a weight of the model was not given.
        """
        own = self.model.state_dict()
        given = dict(weights)
        missing = own.keys() - given.keys() - self._tied_names()
        unknown = given.keys() - own.keys()
        if missing or unknown:
            raise ValueError(
                f"trainer and rollout disagree about weights: missing {sorted(missing)[:3]}, unknown {sorted(unknown)[:3]}"
            )
        with torch.no_grad():
            for name, tensor in given.items():
                own[name].copy_(tensor)

    def _tied_names(self) -> set[str]:
        return {"lm_head.weight"} if self.model.config.get_text_config().tie_word_embeddings else set()

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Complete all prompts, `rows` at a time; the answers have the order of the prompts.

        Raises:
            ValueError: when a prompt is longer than the fixed shape.
        """
        completions: list[Completion] = []
        for start in range(0, len(prompts), self.rows):
            completions += self._complete_batch(prompts[start : start + self.rows])
        return completions

    @torch.inference_mode()
    def _complete_batch(self, prompts: Sequence[Prompt]) -> list[Completion]:
        filled = [*prompts, *[prompts[0]] * (self.rows - len(prompts))]
        longest = max(len(prompt.ids) for prompt in filled)
        if longest > self.prompt_length:
            raise ValueError(f"a prompt has {longest} tokens, rollout.prompt_length is {self.prompt_length}: raise it")
        input_ids = torch.full((self.rows, self.prompt_length), self.pad_id)
        attention_mask = torch.zeros_like(input_ids)
        for row, prompt in enumerate(filled):
            input_ids[row, self.prompt_length - len(prompt.ids) :] = torch.tensor(prompt.ids)
            attention_mask[row, self.prompt_length - len(prompt.ids) :] = 1
        images = [image for prompt in filled for image in prompt.images]
        vision = self.processor.image_processor(images=images, return_tensors="pt") if images else {}
        steps = max(prompt.max_new_tokens for prompt in filled)
        output = self.model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            mm_token_type_ids=(input_ids == self.image_id).int(),
            **vision,
            do_sample=False,
            max_new_tokens=steps,
            eos_token_id=sorted(self.eos_ids),
            pad_token_id=self.pad_id,
            logits_processor=LogitsProcessorList([SeededGumbel([p.sampling for p in filled], self.banned_ids)]),
            return_dict_in_generate=True,
            output_logits=True,
        )
        new_ids = output.sequences[:, self.prompt_length :]
        log_probs = torch.stack([torch.log_softmax(logits.float(), -1) for logits in output.logits], dim=1)
        chosen = log_probs.gather(-1, new_ids.unsqueeze(-1)).squeeze(-1)
        return [self._cut(new_ids[row], chosen[row], prompt) for row, prompt in enumerate(prompts)]

    def _cut(self, ids: torch.Tensor, log_probs: torch.Tensor, prompt: Prompt) -> Completion:
        tokens = ids.tolist()[: prompt.max_new_tokens]
        ends = [position for position, token in enumerate(tokens) if token in self.eos_ids]
        length = ends[0] + 1 if ends else len(tokens)
        return Completion(tokens[:length], log_probs.tolist()[:length], "completed" if ends else "length")
