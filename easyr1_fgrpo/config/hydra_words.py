"""What Hydra says of a wrong override, in our words: what was typed, what is wrong, what to type."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from omegaconf import OmegaConf

from easyr1_fgrpo.config.groups import AT_ROOT, GROUPS, OURS

_CHOICES = "a run is a choice of " + ", ".join(f"{group}=" for group in GROUPS)
_KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"Interpolation key 'stages\.world' not found",
        "judge=oracle (the default): it knows the miniature's pictures only, and this data set is another; take "
        "judge=conclusion (a rule, consistency alone), or a model: judge=openai_compatible, hosted or qwen3_vl_30b",
    ),
    (
        r"Interpolation key 'stages\.(?:dir|rows|world_name)' not found",
        "backbone=tiny: it is made from the miniature or from rows of your own; take dataset=miniature or dataset=own, "
        "or another backbone",
    ),
    (
        r"Missing mandatory value: judge_endpoint\.(\w+)",
        "judge=openai_compatible: judge_endpoint.{0} is missing; say judge_endpoint.model=NAME "
        "judge_endpoint.base_urls=[http://HOST:PORT/v1]",
    ),
    (
        r"Missing mandatory value: own\.(\w+)",
        "dataset=own: own.{0} is missing; say own.train=FILE.parquet own.val=FILE.parquet, as `fgrpo data import` "
        "writes them",
    ),
    (
        r"Could not override 'own\.(?:name|train|val)'",
        "own.*: these keys come with dataset=own, which is not chosen",
    ),
    (
        r"Could not override 'stages\.held_out'",
        "stages.held_out: this data set asks questions of one type; take dataset=miniature_two_step or "
        "miniature_four_way",
    ),
    (
        r"Could not override 'judge_endpoint\.(?:model|base_urls)'",
        "judge_endpoint.*: these keys come with judge=openai_compatible, which is not chosen",
    ),
    (
        rf"Could not find '(\w+)/([^']*)' Available options in '(?:{'|'.join(GROUPS)})': (.*)",
        "{0}={1}: no such choice; there are {2}",
    ),
    (
        r"Override (\w+)=.* looks like a config group override",
        "{0}=: takes the name of a choice, as in {0}=NAME",
    ),
    (
        r"Error parsing override '(.*?)' (?:missing|mismatched|no viable|extraneous|token|unsupported)",
        "{0}: cannot be read as KEY=VALUE; a list is [a,b], a section {{a:1}}, and both want quotes in a shell",
    ),
    (
        r"Error merging override \+*([\w.]+)=.* Cannot merge DictConfig with ListConfig",
        "{0}: is a section, no list; write {{NAME: VALUE}}, as in fgrpo.reward.weights={{consistency: 0.3}}",
    ),
    (
        r"LexerNoViableAltException: (\S+)",
        "{0}: cannot be read as KEY=VALUE; a list is [a,b], a section {{a:1}}, and both want quotes in a shell",
    ),
    (
        r"Could not (?:find '(\w+)/|override '(\w+)')",
        f"{{0}}=: no such group; {_CHOICES}",
    ),
    (
        r"(\w+) appears more than once in the final defaults list|Multiple values for (\w+)\.",
        "+{0}=: a run has one of them already; say {0}=CHOICE, without +",
    ),
)
_NO_KEY = re.compile(r"Could not override '([^']+)'\. To append")


def in_our_words(error: Exception) -> str:
    """One line about what Hydra or OmegaConf refused; their own words where we have none.

    Hydra hides a reason below its message, and lists search paths of this machine, which are left out.
    """
    texts = [str(error), *([str(error.__cause__)] if error.__cause__ else [])]
    words = [word for text in texts for word in text.partition("\nConfig search path:")[0].split()]
    said = " ".join(words).replace(AT_ROOT, "")
    for pattern, ours in _KNOWN:
        if found := re.search(pattern, said):
            return ours.format(*(_listed(part) for part in found.groups() if part is not None))
    return said


def unknown_key(line: str) -> str | None:
    """The key that the config has not, where Hydra's own words say so."""
    found = _NO_KEY.search(line)
    return found[1] if found else None


def no_such_key(key: str, config: Any) -> str:
    """One line about a key that the config has not, with those that may be meant.

    Args:
        key: as it was typed, dotted.
        config: composed without it.
    """
    hint = (
        ""
        if key.partition(".")[0] in OURS
        else f"; one that verl reads without naming it in its config is ++{key}=VALUE"
    )
    return f"{key}: no such key{meant(key, config)}{hint}"


def meant(key: str, config: Any) -> str:
    """The keys of a config that a wrong one may stand for, as an aside; "" where none is like it."""
    known = list(_keys(OmegaConf.to_container(config, resolve=False), ()))
    section, _, last = key.rpartition(".")
    beside = {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == section}
    like = [name for name in known if name.endswith(f".{key}")][:3]
    like = like or [beside[name] for name in difflib.get_close_matches(last, beside, 1)]
    return f" (did you mean {' or '.join(like)}?)" if like else ""


def _keys(section: Any, above: tuple[str, ...]) -> Iterator[str]:
    """Every key below a section, dotted."""
    for name, value in section.items() if isinstance(section, dict) else ():
        yield ".".join([*above, str(name)])
        yield from _keys(value, (*above, str(name)))


def _listed(words: str) -> str:
    return ", ".join(words.split())
