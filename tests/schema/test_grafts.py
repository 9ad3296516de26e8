"""What a config says of its grafts: further arms, which train nothing of their own."""

import pytest

from vcjax import config as configs
from vcjax.config import behavior, experiment, pretrain, rationale, resolve
from vcjax.errors import InputError
from vcjax.schema.differences import differences

STAGES = dict(why=rationale(file="d.jsonl"), what=behavior(file="c.jsonl"))
BOTH = ("why", "what")


def made(grafts, **settings):
    defaults = dict(
        name="c",
        stages=STAGES,
        arms=dict(base=(), both=BOTH),
        contrasts=dict(total=dict(both=1, base=-1)),
        primary="total",
        probes=("p.jsonl",),
        grafts=grafts,
    )
    return experiment(**{**defaults, **settings})


def test_a_graft_is_one_more_arm(tmp_path):
    grafts = dict(half=dict(arm="both", scale=0.5), chat=dict(arm="base", model="~/chat"))
    config = resolve(made(grafts, contrasts=dict(total=dict(half=1, chat=-1))), tmp_path)
    assert config.arms.to_dict() == dict(base=(), both=BOTH, half=BOTH, chat=())
    assert not config.grafts.chat.model.startswith("~")
    as_json = configs.as_json(config)
    scales = {arm: configs.scale_of(as_json, arm) for arm in as_json["arms"]}
    assert scales == dict(base=1, both=1, half=0.5, chat=1)
    assert configs.preregistration(as_json)["grafts"] == as_json["grafts"]


def test_a_flag_may_set_every_key(tmp_path):
    config = made(dict(twice=dict(arm="both", scale=2)))
    config.grafts.twice.scale = 1.5
    config.grafts.twice.model = "organisation/model"
    assert resolve(config, tmp_path).grafts.twice.scale == 1.5


def test_the_path_to_the_other_model_may_change_but_not_the_scale(tmp_path):
    def as_json(**graft):
        return configs.as_json(resolve(made(dict(g=dict(arm="both", **graft))), tmp_path))

    before = as_json(model="a", scale=0.5)
    assert not differences(before, as_json(model="b", scale=0.5))
    assert differences(before, as_json(model="a", scale=2.0)) == [
        "config.grafts.g.scale: 0.5 -> 2.0"
    ]


WORLD = dict(stages=dict(people=pretrain(file="d.jsonl"), what=behavior(file="c.jsonl")))
PEOPLE = dict(arms=dict(base=("people",), both=("people", "what")), **WORLD)


@pytest.mark.parametrize(
    ("graft", "settings", "message"),
    [
        (dict(), {}, r"config\.grafts\.g\.arm: it is empty"),
        (dict(arm="bth"), {}, r"config\.grafts\.g\.arm: .* no arm 'bth'; did you mean 'both'\?"),
        (dict(arm="both", scael=2), {}, r"grafts\.g\.scael; did you mean grafts\.g\.scale\?"),
        (dict(arm="both", scale="2"), {}, r"config\.grafts\.g\.scale: '2' is text; expected a num"),
        (dict(arm="both", scale=float("nan")), {}, r"g\.scale: nan; expected a finite number"),
        (dict(arm="base", scale=0), {}, r"g\.scale: 'base' has no adapter to scale; leave it out"),
        (dict(arm="g"), dict(arms=dict(base=(), both=BOTH, g=())), r"grafts\.g: an arm has this"),
        (
            dict(arm="both", scale=2),
            dict(recipe=configs.recipe(train="full")),
            r"g\.arm: 'both' trains all weights \(train='full'\)",
        ),
        (dict(arm="both", model="m"), PEOPLE, r"g\.model: 'both' begins with a pretraining"),
        (dict(arm="base", scale=2), PEOPLE, r"g\.scale: 'base' has no adapter"),
    ],
)
def test_a_mistake_is_named_with_its_key(graft, settings, message, tmp_path):
    with pytest.raises(InputError, match=message):
        resolve(made(dict(g=graft), **settings), tmp_path)
