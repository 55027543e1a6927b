# Who may import whom. Every arrow points down: a new arrow is a decision about the house, made here first.
import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

from easyr1_fgrpo.extras import missing

ROOT = Path(__file__).parents[2]
PACKAGES = ("easyr1_fgrpo", "reward_servers", "data_prep", "recipes")

# Room -> what it may import of ours, besides itself; without prefix: of easyr1_fgrpo. A module with a line of its own
# is no part of its room, but the rest of the room may import it.
ARROWS = {
    # ground
    "easyr1_fgrpo.extras": set(),
    "easyr1_fgrpo.algorithm": set(),
    "easyr1_fgrpo.generation": {"pictures"},
    "easyr1_fgrpo.files": set(),
    "easyr1_fgrpo.lock": {"files"},
    "easyr1_fgrpo.normal_form": set(),
    "easyr1_fgrpo.chat_marks": set(),
    "easyr1_fgrpo.ray_token": set(),
    "easyr1_fgrpo.host": set(),
    "easyr1_fgrpo.terminal": set(),
    "easyr1_fgrpo.stopping": set(),
    "easyr1_fgrpo.statistics": set(),
    "easyr1_fgrpo.tables": {"statistics"},
    "easyr1_fgrpo.rows": {"files", "pictures", "normal_form", "terminal"},
    "easyr1_fgrpo.task_prompt": {"rows"},
    "easyr1_fgrpo.checkpoints": {"files"},
    "easyr1_fgrpo.metrics_file": {"files"},
    "easyr1_fgrpo.config": {"extras", "terminal"},
    "easyr1_fgrpo.pictures": {"files"},
    "easyr1_fgrpo.model_client": {"pictures", "chat_marks"},
    "easyr1_fgrpo.published": {"files", "pictures"},
    # judges and rewards
    "easyr1_fgrpo.judges.protocol": set(),
    "easyr1_fgrpo.judges.asking": {"judges.protocol"},
    "easyr1_fgrpo.judges": {"model_client", "files", "config.schema", "config.judges"},
    "easyr1_fgrpo.rewards.signal": set(),
    "easyr1_fgrpo.judges.boxes": set(),
    "easyr1_fgrpo.rewards": {
        *("judges.protocol", "judges.asking", "judges.boxes", "config.schema", "normal_form", "chat_marks"),
    },
    # what travels, and the small world
    "easyr1_fgrpo.traces": {"rewards", "judges.protocol", "pictures", "config.schema"},
    "easyr1_fgrpo.trace_index": {"rewards", "judges.protocol", "traces", "files", "terminal"},
    "easyr1_fgrpo.miniature": {
        *("rewards", "judges.protocol", "rows", "pictures", "files", "checkpoints", "config.schema", "normal_form"),
        "terminal",
    },
    # FGRPO for any trainer
    "easyr1_fgrpo.training": {
        *("algorithm", "rewards", "judges", "traces", "files", "checkpoints", "config", "host"),
    },
    # before a run, and around it: for any trainer
    "easyr1_fgrpo.preflight": {
        *("training", "rewards", "judges", "rows", "files", "checkpoints", "config", "terminal"),
    },
    "easyr1_fgrpo.watch": set(),
    "easyr1_fgrpo.failure": {"training"},
    # who uses it
    "data_prep": {
        *(
            "rewards",
            "chat_marks",
            "judges",
            "model_client",
            "pictures",
            "published",
            "rows",
            "files",
            "task_prompt",
            "config.schema",
            "normal_form",
            "terminal",
        ),
    },
    "reward_servers": {"judges", "miniature", "config", "ray_token"},
    "easyr1_fgrpo.verl_plugin": {
        *("algorithm", "rewards", "judges", "traces", "trace_index", "training", "generation", "rows", "pictures"),
        *("files", "checkpoints", "config", "extras", "host", "lock", "metrics_file", "ray_token", "terminal"),
        *("stopping", "preflight", "watch", "failure"),
        *("report.traces.html", "report.traces.view"),
        "miniature.worlds",  # what `fgrpo stages` can build
    },
    "easyr1_fgrpo.easyr1_plugin": {
        *("algorithm", "rewards", "judges", "training", "generation", "rows", "pictures", "files", "checkpoints"),
        *(
            "config",
            "host",
            "lock",
            "metrics_file",
            "ray_token",
            "terminal",
            "stopping",
            "preflight",
            "watch",
            "failure",
        ),
    },
    "easyr1_fgrpo.evaluation": {
        *(
            "rewards",
            "chat_marks",
            "judges",
            "model_client",
            "traces",
            "generation",
            "rows",
            "files",
            "checkpoints",
            "statistics",
            "tables",
        ),
        *("pictures", "published", "task_prompt", "config", "normal_form", "terminal", "export", "metrics_file"),
    },
    "easyr1_fgrpo.judge_validation": {
        "rewards",
        "judges",
        "traces",
        "trace_index",
        "pictures",
        "files",
        "statistics",
        "tables",
        "terminal",
        "config",
    },
    "easyr1_fgrpo.report": {
        "traces",
        "trace_index",
        "rewards",
        "judges.protocol",
        "pictures",
        "files",
        "checkpoints",
        "statistics",
        "config.schema",
        "evaluation.results",
        "terminal",
    },
    # what users copy
    "recipes.examples": {"rewards"},
    "recipes.examples.trl_fgrpo": {"MultiplierController"},
    # on top
    "easyr1_fgrpo.export": {"checkpoints", "files", "generation", "host", "terminal"},
    "easyr1_fgrpo.study": {
        *(
            "algorithm",
            "evaluation",
            "report",
            "traces",
            "trace_index",
            "miniature",
            "judges.protocol",
            "files",
            "statistics",
            "tables",
        ),
        *("checkpoints", "config", "export"),
    },
    "easyr1_fgrpo.cli": {
        *(
            "verl_plugin",
            "easyr1_plugin",
            "evaluation",
            "judge_validation",
            "preflight",
            "report",
            "study",
            "export",
            "miniature",
            "checkpoints",
        ),
        *(
            "model_client",
            "files",
            "ray_token",
            "terminal",
            "stopping",
            "tables",
            "config",
            "extras",
            "host",
            "__version__",
            "/reward_servers",
            "/data_prep",
        ),
    },
    "easyr1_fgrpo.__main__": {"cli"},
    # What a REPL finds: names only, loaded when they are used, so no room that imports the package runs in a circle.
    "easyr1_fgrpo": {
        *("algorithm", "training", "rewards", "judges", "traces", "rows", "generation", "config", "extras"),
    },
}

# Library -> rooms and modules that may import it.
HEAVY = {
    # Two distributions of one name, never in one environment: upstream's, and EasyR1's.
    "verl": {"easyr1_fgrpo.verl_plugin", "easyr1_fgrpo.easyr1_plugin"},
    "ray": {
        "easyr1_fgrpo.verl_plugin",
        "easyr1_fgrpo.easyr1_plugin",
        "easyr1_fgrpo.judges.served",
        "easyr1_fgrpo.ray_token",
        "easyr1_fgrpo.watch",
        "reward_servers",
        "data_prep",
    },
    "transformers": {
        *("easyr1_fgrpo.generation", "easyr1_fgrpo.miniature", "easyr1_fgrpo.verl_plugin", "easyr1_fgrpo.evaluation"),
        *("easyr1_fgrpo.export", "data_prep"),
    },
    "torch": {
        "easyr1_fgrpo.algorithm",
        "easyr1_fgrpo.easyr1_plugin",
        "easyr1_fgrpo.generation",
        "easyr1_fgrpo.miniature",
        "easyr1_fgrpo.study.choices",
        "easyr1_fgrpo.training",
        "easyr1_fgrpo.verl_plugin",
        "recipes.examples.trl_fgrpo",
    },
}


def modules() -> Iterator[tuple[str, str]]:
    """Every module of ours with its source; a package's own name ends with `.__init__`."""
    for package in PACKAGES:
        for path in sorted([*(ROOT / package).rglob("*.py"), *(ROOT / package).rglob("*.pyi")]):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path.read_text()


def imports_of(module: str, source: str) -> set[str]:
    """Full names of what a module imports, wherever the statement stands: `from a.b import c` is a.b.c."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), module.rpartition(".")[0])
            found |= {f"{origin}.{alias.name}" for alias in node.names}
    return found


def within(name: str, roots: set[str]) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def room_of(module: str) -> str | None:
    """The longest entry of ARROWS that holds a module; the bare package holds only itself."""
    name = module.removesuffix(".__init__")
    rooms = [room for room in ARROWS if name == room or (name.startswith(f"{room}.") and room != "easyr1_fgrpo")]
    return max(rooms, key=len, default=None)


def wrong_arrows(module: str, source: str) -> list[str]:
    """What a module imports although the tables above do not allow it."""
    imported = imports_of(module, source)
    heavy = {
        name
        for library, roots in HEAVY.items()
        for name in imported
        if within(name, {library}) and not within(module, roots)
    }
    room = room_of(module)
    own = {room} - {None, "easyr1_fgrpo"}
    allowed = own | {name[1:] if name[0] == "/" else f"easyr1_fgrpo.{name}" for name in ARROWS.get(room, ())}
    return sorted(heavy | {name for name in imported if within(name, set(PACKAGES)) and not within(name, allowed)})


def test_every_module_is_in_a_room():
    homeless = [module for module, _ in modules() if room_of(module) is None]
    assert not homeless, f"give {homeless} a line in ARROWS"


def test_imports_follow_the_arrows():
    wrong = {module: found for module, source in modules() if (found := wrong_arrows(module, source))}
    assert not wrong, "\n".join(f"{module} must not import {found}" for module, found in wrong.items())


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("easyr1_fgrpo.algorithm.groups", "from easyr1_fgrpo.config.schema import FgrpoConfig"),
        ("easyr1_fgrpo.__init__", "from .verl_plugin import plugin"),
        ("easyr1_fgrpo.rewards.suite", "import easyr1_fgrpo.traces"),
        ("easyr1_fgrpo.rewards.suite", "from easyr1_fgrpo import verl_plugin"),
        ("easyr1_fgrpo.rewards.suite", "from easyr1_fgrpo.judges.factory import build_judges"),
        ("easyr1_fgrpo.rewards.suite", "def later():\n    import torch"),
        ("easyr1_fgrpo.rewards.signal", "from easyr1_fgrpo.judges.protocol import Verdict"),
        ("easyr1_fgrpo.evaluation.run", "from verl import DataProto"),
        ("easyr1_fgrpo.report.page", "import ray"),
        ("easyr1_fgrpo.verl_plugin.run.train", "import reward_servers.launch"),
        ("easyr1_fgrpo.easyr1_plugin.trainer", "from easyr1_fgrpo.verl_plugin.run import logs"),
        ("easyr1_fgrpo.verl_plugin.trainer", "from easyr1_fgrpo.easyr1_plugin import rewards"),
        ("easyr1_fgrpo.rewards.suite", "from ..traces import TraceRecord"),
        ("easyr1_fgrpo.rewards.__init__", "from ..traces import TraceRecord"),
        ("easyr1_fgrpo.miniature.oracle", "from easyr1_fgrpo.rewards_old import score"),
        ("reward_servers.launch", "from easyr1_fgrpo.verl_plugin.compat import PATCHES"),
        ("data_prep.sources", "from easyr1_fgrpo.traces import TraceRecord"),
    ],
)
def test_a_wrong_arrow_is_found(module, source):
    assert wrong_arrows(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("easyr1_fgrpo.rewards.suite", "from easyr1_fgrpo.judges.protocol import Judge"),
        ("easyr1_fgrpo.rewards.suite", "from easyr1_fgrpo.rewards.signal import Signal"),
        ("easyr1_fgrpo.algorithm.groups", "from .checks import check_mask"),
        ("easyr1_fgrpo.algorithm.__init__", "from . import groups"),
        ("easyr1_fgrpo.verl_plugin.trainer", "from verl.trainer.ppo.v1 import trainer_sync"),
        ("easyr1_fgrpo.cli.judge", "def command():\n    from reward_servers.launch import launch"),
    ],
)
def test_a_right_arrow_is_let_through(module, source):
    assert wrong_arrows(module, source) == []


LIBRARIES = "torch ray verl vllm transformers"
CORE = ", ".join(f"easyr1_fgrpo.training.{path.stem}" for path in (ROOT / "easyr1_fgrpo/training").glob("[!_]*.py"))


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import easyr1_fgrpo", f"{LIBRARIES} numpy pydantic"),
        ("import easyr1_fgrpo.traces", LIBRARIES),
        ("import easyr1_fgrpo.rewards", LIBRARIES),
        ("import easyr1_fgrpo.judges.factory", LIBRARIES),
        ("import easyr1_fgrpo.miniature.oracle", LIBRARIES),
        (f"import {CORE}", "ray verl vllm transformers"),
        ("import easyr1_fgrpo.cli", f"{LIBRARIES} numpy scipy pandas pyarrow pydantic hydra PIL rich"),
        ("from easyr1_fgrpo.config.load import load_config; load_config([])", LIBRARIES),
        ("import reward_servers.launch, reward_servers.stop", "torch verl vllm transformers"),
    ],
)
def test_light_modules_stay_light(statement, absent):
    program = f"{statement}\nimport sys\nprint([name for name in {absent.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=400, check=False)
    assert done.stderr == ""
    assert done.stdout == "[]\n"


def test_whatever_is_imported_is_named_when_it_is_missing():
    """With the extra that brings it; else its absence would be a traceback."""
    imported = {name.partition(".")[0] for module, source in modules() for name in imports_of(module, source)}
    theirs = imported - sys.stdlib_module_names - {*PACKAGES, "trl", ""}
    assert {"safetensors", "peft", "torch", "typer"} <= theirs
    assert [name for name in sorted(theirs) if missing(name) is None] == []
