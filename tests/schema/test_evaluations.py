"""What a config says of its evaluations, and that it decides no result."""

import designs
import pytest

from vcjax import config as configs
from vcjax.config import resolve
from vcjax.errors import InputError
from vcjax.schema.differences import differences


def resolved(folder, **evaluation):
    return resolve(designs.two_arms(evaluations=dict(am=evaluation)), folder)


def test_an_evaluation_is_a_task_and_how_often(tmp_path):
    config = resolved(tmp_path, task="vcjax/agentic_misalignment", args=dict(goal="none"))
    settings = config.evaluations.am
    assert (settings.epochs, settings.temperature, settings.max_tokens) == (1, 0.0, 1024)
    other = resolved(tmp_path, task="vcjax/agentic_misalignment", epochs=300)
    assert not differences(configs.as_json(config), configs.as_json(other))


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        (dict(), r"config\.evaluations\.am\.task"),
        (
            dict(task="t", epoch=3),
            r"unknown config key evaluations\.am\.epoch; did you mean .*epochs",
        ),
        (dict(task="t", epochs=0), r"config\.evaluations\.am\.epochs: 0; it must be 1 or more"),
        (dict(task="t", temperature=-1.0), r"am\.temperature: -1\.0; it must be 0 or more"),
    ],
)
def test_a_mistake_is_named_with_its_key(evaluation, message, tmp_path):
    with pytest.raises(InputError, match=message):
        resolved(tmp_path, **evaluation)
