"""What the robustness command makes of what it finds; the faults themselves take an hour or two."""

from robustness import page
from robustness.outcomes import Outcome, Result
from robustness.soak import STEPS, growth

MIB = 2**20


def samples(role, memory, descriptors=50):
    """One a step; `memory` of a step in bytes."""
    return [
        {"role": role, "step": step, "uss": memory(step), "descriptors": descriptors, "threads": 30}
        for step in range(1, STEPS + 1)
    ]


def test_growth_is_what_is_more_than_a_twentieth_and_more_than_slack():
    found = growth(
        samples("flat", lambda step: 400 * MIB + step % 7 * MIB)
        + samples("leaking", lambda step: 400 * MIB + step * MIB // 10)
        + samples("small", lambda step: 20 * MIB + step * MIB // 200)
        + samples("warming up", lambda step: min(step, 90) * MIB)
        + [sample | {"descriptors": 50 + sample["step"] // 50} for sample in samples("sockets", lambda step: MIB)]
    )
    good = {outcome.fault.partition(",")[0]: outcome.good for outcome in found}
    assert good == {"flat": True, "leaking": False, "small": True, "warming up": True, "sockets": False}


def test_the_page_says_what_went_wrong_and_what_was_never_run(monkeypatch):
    outcomes = [
        Outcome("a | killed", "error: /tmp/x/train.log (pid 7)", True, 26.04, True),
        Outcome("b killed", "it hung", False, 240.0, False),
    ]
    results = {"kill_a": Result("kill_a", "abc", "2026-11-28", 3.0, "two cores", outcomes)}
    assert not results["kill_a"].good
    assert Result("kill_a", "abc", "2026-11-28", 3.0, "two cores", outcomes[:1]).good
    monkeypatch.setattr(page, "kept", results.get)
    text = "\n".join(page.sections(["kill_a", "kill_b", "soak"]))
    assert "| a / killed | error: train.log (pid N) | 26 | yes |\n" in text
    assert "| b killed | **wrong:** it hung | 240 | **no** |\n" in text
    assert "Made in 3 minutes (commit `abc`, 2026-11-28, two cores).\n" in text
    assert "Not run yet: kill_b.\n" in text
    assert "Not run yet: soak.\n" in text
