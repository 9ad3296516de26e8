"""Which conditions are asked, and that a name that is none is refused."""

import pytest

from vcjax.errors import InputError
from vcjax.tasks.conditions import choose


def test_all_goals_in_the_scenarios_of_the_study():
    conditions = choose(None, None)
    assert len({condition.id for condition in conditions}) == 27
    assert {condition.scenario for condition in conditions} == {"exfiltration", "leaking", "murder"}
    assert [c.goal_type for c in conditions if c.goal == "none"] == ["none"] * 3


@pytest.mark.parametrize("given", ["leaking,exfiltration", ["leaking", "exfiltration"]])
def test_names_may_be_several(given):
    ids = [condition.id for condition in choose(given, "none")]
    assert ids == ["leaking-none", "exfiltration-none"]


def test_an_unknown_name_is_never_another():
    with pytest.raises(
        InputError, match="no 'blakmail'; give some of exfiltration, leaking, murder, b"
    ):
        choose("blakmail", None)
    with pytest.raises(
        InputError, match=r"goal: there is no 'American'.* america, global, .* none"
    ):
        choose(None, ["American"])
    with pytest.raises(InputError, match="scenario"):
        choose([], None)
