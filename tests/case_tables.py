"""What real people feed it: the tables in tests/cases, one file a reader. Add a case there; no test has to be touched.

A table is TOML, each case a `[[case]]` with

    input     what is read: text, or a table of what the reader takes
    expected  what it must say
    source    where it was reported: "owner/repository#number", or "" for a relative of ours
    note      optional: why

and whatever else its test reads. '''Three single quotes''' keep backslashes and line breaks as they are.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "cases"
_SOURCE = re.compile(r"|[\w.-]+/[\w.-]+#\d+")


def read_cases(name: str) -> list[dict[str, Any]]:
    """The cases of tests/cases/NAME.toml.

    Raises:
        AssertionError: for a case that lacks a part, names its source otherwise, or is there twice.
    """
    cases: list[dict[str, Any]] = tomllib.loads((FOLDER / f"{name}.toml").read_text())["case"]
    seen = []
    for number, case in enumerate(cases, 1):
        where = f"{name}.toml, case {number}"
        assert {"input", "expected", "source"} <= case.keys(), f"{where}: has {sorted(case)}"
        assert _SOURCE.fullmatch(case["source"]), f'{where}: source {case["source"]!r}, want "owner/repository#number"'
        asked = {key: value for key, value in case.items() if key not in ("expected", "source", "note")}
        assert asked not in seen, f"{where}: {case['input']!r} is there twice"
        seen.append(asked)
    return cases
