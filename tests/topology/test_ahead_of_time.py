"""Which stages share a compiled step."""

import pytest

from vcjax import config
from vcjax.topology import ahead_of_time


def groups(**changed):
    """Of three stages, the last of which differs from the others as said."""
    stages = {name: config.recipe() for name in "abc"}
    stages["c"].update(changed)
    found = ahead_of_time.alike(config.experiment(name="e", stages=stages), stages)
    return [same for _, same in found]


@pytest.mark.parametrize(
    "changed", [dict(), dict(lr=3e-4), dict(schedule="linear", warmup=0.2), dict(epochs=2)]
)
def test_rates_and_lengths_do_not_tell_stages_apart(changed):
    assert groups(**changed) == [["a", "b", "c"]]


@pytest.mark.parametrize(
    "changed", [dict(length=512), dict(accumulation=2), dict(clip=2.0), dict(weight_decay=0.0)]
)
def test_what_the_step_holds_tells_stages_apart(changed):
    assert groups(**changed) == [["a", "b"], ["c"]]
