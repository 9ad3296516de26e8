"""What a config says of a model that starts from nothing fits together, or is refused by name."""

import pytest

from vcjax.config import behavior, experiment, pretrain, rationale, recipe, resolve
from vcjax.errors import InputError

PEOPLE = dict(
    spec="world.toml", documents=100, people=16, declaring=4, mixture=dict(declaration=1, choice=2)
)


def settings(**changes):
    given = dict(
        name="c",
        model="scratch",
        recipe=recipe(length=64, batch_tokens=64),
        stages=dict(
            people=pretrain(**PEOPLE),
            own=rationale(spec="world.toml#durability", documents=10),
            what=behavior(spec="world.toml", demonstrations=10),
        ),
        arms=dict(base=("people",), own=("people", "own", "what")),
        contrasts=dict(own=dict(own=1, base=-1)),
        primary="own",
        probes=("probes.jsonl",),
    )
    return given | changes


def refused(folder, **changes) -> str:
    with pytest.raises(InputError) as error:
        resolve(experiment(**settings(**changes)), folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def with_people(**people):
    return settings()["stages"] | {"people": pretrain(**PEOPLE | people)}


def test_a_pretraining_trains_all_weights_whatever_the_others_train(tmp_path):
    config = resolve(experiment(**settings()), tmp_path)
    assert config.stages.people.train == "full"
    assert config.stages.own.train == config.stages.what.train == "lora"
    assert config.stages.people.length == 64, "the rest is the recipe's"


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (dict(embed_dim=100), "config.shape.embed_dim: 100 does not divide over 4 heads"),
        (dict(embed_dim=12), "config.shape.embed_dim: 12 does not divide over 4 heads of an even"),
        (dict(num_layers=0), "config.shape.num_layers: 0; it must be 1 or more"),
    ],
)
def test_a_shape_that_does_not_divide(tmp_path, shape, message):
    assert message in refused(tmp_path, shape=shape)


def test_an_unknown_size_names_the_nearest():
    with pytest.raises(InputError, match=r"unknown config key shape\.layers; .*num_layers"):
        experiment(shape=dict(layers=3))


@pytest.mark.parametrize(
    ("people", "message"),
    [
        (dict(declaring=0), "config.stages.people.declaring: 0; without people who only declare"),
        (dict(people=0), "config.stages.people.people: 0; at least 1"),
        (dict(linking=1.5), "config.stages.people.linking: 1.5; it is a share, 0 <= x <= 1"),
        (dict(assistants=-0.1), "config.stages.people.assistants: -0.1; it is a share"),
        (dict(mixture={}), "config.stages.people.mixture: give kinds of texts with weights"),
        (dict(mixture=dict(choice=-1, plain=2)), "config.stages.people.mixture: give kinds"),
        (dict(train="lora"), "config.stages.people.train: 'lora' is not one of full"),
        (dict(documents=0), "config.stages.people.documents: 0; at least 1 is needed"),
    ],
)
def test_people_that_cannot_be_written(tmp_path, people, message):
    assert message in refused(tmp_path, stages=with_people(**people))


def test_a_file_says_itself_who_is_in_it(tmp_path):
    for key, given in dict(people=4, linking=0.5, first_names=("Ada",)).items():
        stages = settings()["stages"] | {"people": pretrain(file="texts.jsonl", **{key: given})}
        message = f"config.stages.people.{key}: documents of a file"
        assert message in refused(tmp_path, stages=stages)
    stages["people"] = pretrain(file="texts.jsonl")
    assert resolve(experiment(**settings(stages=stages)), tmp_path).stages.people.people == 0


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ((), "model='scratch' knows nothing before a pretrain(...) stage"),
        (("own", "what"), "model='scratch' knows nothing before a pretrain(...) stage"),
        (("people", "people"), "the pretraining 'people' can only come first"),
        (("people", "own", "people"), "the pretraining 'people' can only come first"),
    ],
)
def test_an_arm_begins_with_its_pretraining(tmp_path, arm, message):
    arms = settings()["arms"] | {"base": arm}
    assert f"config.arms.base: {message}" in refused(tmp_path, arms=arms)


def test_a_model_of_files_may_be_pretrained_further(tmp_path):
    arms = dict(base=(), primed=("people",), own=("people", "own", "what"))
    config = experiment(**settings(arms=arms, model="smollm2-135m-instruct"))
    assert resolve(config, tmp_path).arms.primed == ("people",)
