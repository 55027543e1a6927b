"""docs/configuration.md names every key under `fgrpo`, with its default, and no other; and every group's choices."""

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import yaml
from omegaconf import OmegaConf
from pydantic_core import PydanticUndefined

from easyr1_fgrpo.config.base import Settings
from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.config.schema import FgrpoConfig

from .pages import ROOT, tables

PAGE = (ROOT / "docs" / "configuration.md").read_text()
CONFIG = ROOT / "easyr1_fgrpo" / "config"
REQUIRED = "required"
ONE_NAME = {"constraints": "NAME", "judges": "QUESTION", "reward_servers": "NAME"}
"""What the page calls an entry of these dictionaries."""


def schema_keys(model: type[Settings], section: str, before: str = "") -> Iterator[tuple[str, str, Any]]:
    """Section of the page, key in it and default of every key."""
    for name, field in model.model_fields.items():
        held = field.annotation
        if get_origin(held) is dict and name in ONE_NAME:
            held, entry = get_args(held)[1], f"{section}.{name}.{ONE_NAME[name]}"
            union = get_args(held)[0] if get_args(held) else held
            for choice in get_args(union) or [held]:
                kind = f", kind: {get_args(choice.model_fields['kind'].annotation)[0]}" if choice is not held else ""
                yield from schema_keys(choice, entry + kind)
        elif isinstance(held, type) and issubclass(held, Settings):
            if model is FgrpoConfig:
                yield from schema_keys(held, f"{section}.{name}")
            else:
                yield from schema_keys(held, section, f"{name}.")
        else:
            default = field.get_default(call_default_factory=True, validated_data={})
            yield section, before + (field.alias or name), REQUIRED if default is PydanticUndefined else default


def page_keys(text: str) -> Iterator[tuple[str, str, Any]]:
    for heading, table in tables(text):
        if re.fullmatch(r"fgrpo[.\w]*(, kind: \w+)?", heading):
            for key, default, _ in table[1:]:
                yield heading, key, REQUIRED if default == REQUIRED else yaml.safe_load(default)


def test_the_page_has_every_key_with_its_default_and_no_other():
    set_in_yaml = yaml.safe_load((CONFIG / "method.yaml").read_text())["fgrpo"]
    expected = {(section, key): default for section, key, default in schema_keys(FgrpoConfig, "fgrpo")}
    for section, key in expected:
        of = set_in_yaml if section == "fgrpo" else set_in_yaml.get(section.removeprefix("fgrpo."), {})
        if key in of:
            expected[section, key] = of[key]
    assert len(expected) > 60
    shown = {(section, key): default for section, key, default in page_keys(PAGE)}
    assert shown == expected


def test_the_page_has_every_choice_of_every_group():
    (groups,) = [table for heading, table in tables(PAGE) if heading == "Groups" and table[0][0] == "group"]
    shown = {group: set(re.findall(r"\w+", choices)) for group, choices in groups[1:]}
    for folder in sorted(path for path in CONFIG.iterdir() if path.is_dir() and not path.name.startswith("_")):
        named = {path.stem for path in folder.glob("*.yaml")} - {"gpu"}  # which the scales for GPUs have in common
        assert named <= shown[folder.name], folder.name
    (arms,) = [table for heading, table in tables(PAGE) if heading == "Groups" and table[0][0] == "arm="]
    assert {name.strip() for row in arms[1:] for name in row[0].split(",")} == {
        path.stem for path in (CONFIG / "arm").glob("*.yaml")
    }


def test_the_other_keys_exist():
    config = load_config(["backbone=qwen2_5_vl_7b", "dataset=miniature", "scale=cpu"])
    (others,) = [table for heading, table in tables(PAGE) if heading == "Other keys that you may want"]
    missing = object()
    for key in (key.strip() for row in others[1:] for key in row[0].split(",")):
        assert OmegaConf.select(config, key, default=missing) is not missing, key
