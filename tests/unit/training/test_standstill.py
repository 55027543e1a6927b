from easyr1_fgrpo.report.alarms import STUCK
from easyr1_fgrpo.training.standstill import PATIENCE, Standstills, standstills


def metrics(**values):
    return {f"fgrpo/consistency/{name}": value for name, value in {"score": 0.0, "threshold": 0.95, **values}.items()}


def test_a_violated_constraint_without_a_difference_is_told_of_once():
    seen = Standstills()
    told = [standstills(metrics(**seen.see("consistency", 1.0, 0.95))) for _ in range(3 * PATIENCE)]
    assert [step for step, lines in enumerate(told, start=1) if lines] == [PATIENCE]
    (line,) = told[PATIENCE - 1]
    assert line.startswith(
        f"consistency is 0.00, compared with 0.95, and for {PATIENCE} steps no group's rollouts have"
    )


def test_the_page_tells_of_it_from_the_same_step_on():
    assert PATIENCE == STUCK


def test_a_difference_or_a_met_constraint_begins_anew():
    seen = Standstills()
    for zero_variance, violation, steps in ((1.0, 0.1, 1), (1.0, 0.1, 2), (0.95, 0.1, 0), (1.0, 0.1, 1), (1.0, 0.0, 0)):
        assert seen.see("consistency", zero_variance, violation) == {"standstill": steps}


def test_a_step_without_a_measurement_neither_counts_nor_interrupts():
    seen = Standstills()
    assert seen.see("consistency", 1.0, 0.1) == {"standstill": 1.0}
    assert seen.see("consistency", None, 0.1) == seen.see("consistency", 1.0, None) == {}
    resumed = Standstills()
    resumed.load_state_dict(seen.state_dict())
    assert resumed.see("consistency", 1.0, 0.1) == {"standstill": 2.0}
