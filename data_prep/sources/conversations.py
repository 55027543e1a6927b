"""Conversations of several questions about one picture -> a record a question, so that none is left out.

A question is asked alone in training, so one that only the turns before it explain is none ("What color is it?").
"""

from __future__ import annotations

import re
from typing import Any

from data_prep.sources.item import Reject
from easyr1_fgrpo.rows import IMAGE_MARK

Record = dict[str, Any]

TURNS = ("conversations", "messages")
"""Columns that hold questions and answers as turns of a conversation."""

_SPEAKERS = {
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "chatgpt"), "assistant"),
    "system": "system",
}
_TEXT_KEYS = ("content", "value", "text")
_PICTURE_KEYS = ("image_url", "image", "input_image", "url", "path", "bytes", "data")

_GOES_ON = re.compile(
    r"\W*(?:(?:and|or|but|so|then|also|what about|how about)\b|"
    r"(?:why|why not|how so|how come|really|which ones?|what else|anything else|who|where|when|are you sure)\W*\Z)",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers)\b", re.IGNORECASE)
_NOUN = re.compile(
    r"\b(?:the|an?|this|that|these|those|any|some|no|each|every|both|all|there|people|\d+|two|three|four)\s+\w",
    re.IGNORECASE,
)
_WEATHER = (
    r"(?:rain|snow|sun|cloud|overcast|fog|wind|clear|bright|dark|light|day|night|morning|evening|afternoon|cold|warm|hot|"
    r"winter|summer|spring|autumn|(?:an? )?(?:in|out)door)"
)
_NOBODY = re.compile(
    rf"\b(?:is|was) it (?:(?:very|really|probably|currently|likely) )?{_WEATHER}|\b{_WEATHER}\w* (?:is|was) it\b|"
    r"\btime\b[^?]*\bit\b",
    re.IGNORECASE,
)
"""It, which stands for nothing: Is it raining?"""


def speaker(turn: Any) -> str:
    """Who speaks: user, assistant, system, or the name as it stands."""
    name = str(turn.get("role", turn.get("from", "nobody"))) if isinstance(turn, dict) else type(turn).__name__
    return _SPEAKERS.get(name.lower(), name)


def is_turn(value: Any) -> bool:
    """Whether a value says who speaks."""
    return isinstance(value, dict) and ("role" in value or "from" in value)


def said(turn: Record) -> Any:
    """What a turn says: its text, None where it says nothing."""
    return next((turn[key] for key in _TEXT_KEYS if turn.get(key) is not None), None)


def each_question(record: Record, column: str, exchanges: int = 1) -> list[Record | Reject]:
    """A record a question, with only its turns in `column`; system turns are left out.

    Args:
        record: of a file.
        column: with the turns; a record without any is left as it is.
        exchanges: of user and assistant that a question takes.

    Returns:
        As many entries as the user asks questions, at least one; a reject for one that cannot be asked alone.
    """
    turns = record.get(column)
    if not isinstance(turns, list) or not turns:
        return [record]
    spoken = [turn for turn in turns if speaker(turn) != "system"]
    names = [speaker(turn) for turn in spoken]
    if names != ["user", "assistant"] * (len(names) // 2) + ["user"] * (len(names) % 2):
        asked = max(1, names.count("user") // exchanges)
        return [Reject("turns of a conversation in disorder", ", ".join(names))] * asked
    parts = [spoken[start : start + 2 * exchanges] for start in range(0, len(spoken), 2 * exchanges)]
    return [_alone(record, column, part, number, 2 * exchanges) for number, part in enumerate(parts)]


def _alone(record: Record, column: str, turns: list[Any], number: int, needed: int) -> Record | Reject:
    question = said(turns[0])
    if len(turns) < needed:
        return Reject("a question without an answer", str(question))
    if number and isinstance(question, str) and refers_back(question):
        return Reject("a question that goes on an earlier one", question)
    return {**record, column: turns}


def refers_back(question: str) -> bool:
    """Whether a question needs what was said before it: it begins with "and", or has a pronoun before any noun."""
    lines = question.replace(IMAGE_MARK, "").splitlines()
    asks = next((line for line in lines if "?" in line), question)  # others say how to answer
    text = "".join(asks.partition("?")[:2]).strip()
    if _GOES_ON.match(text):
        return True
    text = _NOBODY.sub(" ", text)
    pronoun = _PRONOUN.search(text)
    return pronoun is not None and not _NOUN.search(text[: pronoun.start()])


# ---------------------------------------------------------------------- messages in parts


def plain_turns(record: Record) -> Record:
    """The record with messages in parts as texts, a mark for each picture, and the pictures in a column `images`.

    Pictures of a column that is there already are kept: the parts then only say where they stand. Records of Alpaca
    (`instruction`, `input`, `output`) and ms-swift (`query`, `response`) with their `history` become turns, too.
    """
    pictures: list[Any] = []
    plain = _with_history(record)
    for column in TURNS:
        if isinstance(turns := plain.get(column), list):
            plain[column] = [_plain(turn, pictures) if isinstance(turn, dict) else turn for turn in turns]
    if pictures and not any(record.get(name) for name in ("images", "image")):
        plain["images"] = pictures
    return plain


def _with_history(record: Record) -> Record:
    for asks, adds, says in (("instruction", "input", "output"), ("query", "", "response")):
        if {asks, says} <= record.keys() and ({adds, "history"} & record.keys()):
            asked = "\n".join(str(record[name]) for name in (asks, adds) if record.get(name))
            earlier = record.get("history") or []
            if not all(isinstance(pair, list) and len(pair) == 2 for pair in earlier):
                return dict(record)
            texts = [text for pair in [*earlier, [asked, record[says]]] for text in pair]
            turns = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
            rest = {name: value for name, value in record.items() if name not in (asks, adds, says, "history")}
            return {**rest, "conversations": turns}
    return dict(record)


def _plain(turn: dict[str, Any], pictures: list[Any]) -> dict[str, Any]:
    parts = said(turn)
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return turn
    texts = []
    for part in parts:
        if "image" in str(part.get("type", "")) or not isinstance(part.get("text"), str):
            pictures += [found for key in _PICTURE_KEYS if (found := _picture(part.get(key)))][:1]
            texts.append(IMAGE_MARK)
        else:
            texts.append(part["text"])
    return {"role": speaker(turn), "content": "\n".join(texts)}


def _picture(value: Any) -> Any:
    """A picture of a part; `{"url": ...}` is what it points to."""
    return value.get("url") or value if isinstance(value, dict) else value
