"""A word-level tokenizer for a world's language, kept as an ordinary Hugging Face tokenizer.

A token carries its leading space, so decoding is plain joining and text survives the round trip. Stock phrases are one
token, which keeps a prompt at 24 tokens and a response at 36 (first world), 26 and 47 (second), or 27 and 47 (third).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from easyr1_fgrpo.miniature.scene import SIDE, STEP, Relation
from easyr1_fgrpo.miniature.worlds import World, one_step

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, EOS, UNKNOWN = "<|endoftext|>", "<|im_end|>", "<|unknown|>"
VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
SPECIAL = (PAD, "<|im_start|>", EOS, *VISION, UNKNOWN)

# The shape of Qwen's template, without a default system prompt and without line breaks.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant{% endif %}"
)

_PHRASES = r" is at <bbox>\[|\]</bbox>\.|</?(?:think|answer|bbox)>| So the answer is| (?:of|than) the"
_PIECES = r" ?[A-Za-z]+| ?\d+,?|\s|."


def build_tokenizer(world: World = one_step) -> PreTrainedTokenizerFast:
    """The tokenizer of a world: same words, same ids, every time."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *_words(world)])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    pieces = Regex("|".join([*world.PHRASES, _PHRASES, _PIECES]))
    backend.pre_tokenizer = pre_tokenizers.Split(pieces, behavior="isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        additional_special_tokens=["<|im_start|>", *VISION],
        chat_template=CHAT_TEMPLATE,
        model_max_length=512,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _words(world: World) -> list[str]:
    numbers = range(0, SIDE + 1, STEP)
    return [
        *("user", "assistant", "<think>", "</think>", "<answer>", "</answer>", " is at <bbox>[", "]</bbox>."),
        *world.WORDS,
        *("The", " The", " is", " the", " of the", " than the", " So the answer is", "."),
        *(f" {word}" for word in (*world.NAMES, *Relation)),
        *Relation,
        *(f"{number}," for number in numbers),
        *(str(number) for number in numbers),
    ]
