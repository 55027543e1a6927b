from pathlib import Path

import pytest

from easyr1.runs import Host
from easyr1.tiny import make


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Model and questions, made by what is installed here."""
    folder = tmp_path_factory.mktemp("tiny")
    make(folder)
    return folder


@pytest.fixture(scope="session")
def host(request, tiny, tmp_path_factory):
    return Host(Path(request.config.getoption("--easyr1")), tiny, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def whole(host):
    """The name of a run of five steps that was killed after the third and went on from the second."""
    process = host.start("whole", notes=host.folder / "notes")
    host.kill_after("whole", 3, process)
    host.run("whole")
    return "whole"
