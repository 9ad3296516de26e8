"""Types and ranges of a config's keys: the message names key, value and what was expected."""

import math
from pathlib import Path

import pytest

from vcjax.config import adapter, behavior, experiment, rationale, recipe, resolve
from vcjax.errors import InputError

NAN, INF = math.nan, math.inf


def refused(folder, **settings) -> str:
    """What is said of an experiment with these settings, whichever function they belong to."""
    of_recipe = {key: settings.pop(key) for key in [*settings] if key in recipe()}
    of_stage = settings.pop("stage", {})
    defaults = dict(
        name="c",
        recipe=recipe(**of_recipe),
        stages=dict(why=rationale(file="docs.jsonl", **of_stage), what=behavior(file="c.jsonl")),
        arms=dict(what=("what",), both=("why", "what")),
        contrasts=dict(total=dict(both=1, what=-1)),
        primary="total",
        probes=("probes.jsonl",),
    )
    with pytest.raises(InputError) as error:
        resolve(experiment(**{**defaults, **settings}), folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def curve(**settings):
    return dict(curves=dict(people=settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(lr="1e-4"), "config.recipe.lr: '1e-4' is text; expected a number"),
        (dict(lr=True), "config.recipe.lr: True is a truth value; expected a number"),
        (dict(lr=NAN), "config.recipe.lr: nan; expected a finite number"),
        (dict(lr=0), "config.recipe.lr: 0.0; it must be above 0"),
        (dict(clip=INF), "config.recipe.clip: inf; expected a finite number"),
        (dict(clip=None), "config.recipe.clip: None; expected a number"),
        (dict(epochs=0.5), "config.recipe.epochs: 0.5 is a decimal number; expected a whole"),
        (dict(epochs=0), "config.recipe.epochs: 0; it must be 1 or more"),
        (dict(batch_tokens=512 / 2), "batch_tokens: 256.0 is a decimal number; expected a whole"),
        (dict(b1=2), "config.recipe.b1: 2.0; it is a share, 0 <= x < 1"),
        (dict(eps=0), "config.recipe.eps: 0.0; it must be above 0"),
        (dict(weight_decay=-1), "config.recipe.weight_decay: -1.0; it must be 0 or more"),
        (dict(train=None), "config.recipe.train: None is not one of lora, full"),
        (dict(recipe=3), "config.recipe: 3 is a whole number; expected a dict"),
        (dict(recipe=dict(lrr=1)), "unknown config key recipe.lrr; did you mean recipe.lr?"),
        (dict(stage=dict(lr="1e-4")), "config.stages.why.lr: '1e-4' is text; expected a number"),
        (dict(stage=dict(linked="no")), "config.stages.why.linked: 'no' is text; expected True or"),
        (dict(stage=dict(held_out=1.5)), "config.stages.why.held_out: 1.5 is a decimal number"),
        (dict(stage=dict(stated=dict(tokens=-1))), "config.stages.why.stated.tokens: -1; it must"),
        (
            dict(stages=dict(why="d.jsonl")),
            "config.stages.why: build it with one of",
        ),
        (dict(stages=dict(why=adapter(file=Path("x")))), "config.stages.why.file: PosixPath('x')"),
        (dict(seeds=1.0), "config.seeds: 1.0 is a decimal number; expected a whole number"),
        (dict(probes="p.jsonl"), "config.probes: 'p.jsonl' is text; expected a tuple, as ('p.js"),
        (dict(probes=("",)), "config.probes[0]: it is empty; expected text"),
        (dict(seeds=10**30), "config.seeds: 1000000000000000000000000000000; it must be below 2.1"),
        (dict(probes=(Path("p"),)), "config.probes[0]: PosixPath('p') is a PosixPath; expected"),
        (dict(arms=dict(both="why")), "config.arms.both: 'why' is text; expected a tuple, as ('wh"),
        (dict(arms=("both",)), "config.arms: ('both',) is a tuple; expected a dict"),
        (dict(contrasts=("both", "what")), "config.contrasts: ('both', 'what') is a tuple; expect"),
        (dict(contrasts=dict(total=("both",))), "config.contrasts.total: ('both',) is a tuple"),
        (dict(contrasts=dict(total=dict(both=NAN))), "config.contrasts.total.both: nan; expected"),
        (dict(contrasts=dict(total=dict(both=0))), "config.contrasts.total: all its weights are 0"),
        (dict(rules_out=dict(total=("x",))), "config.rules_out.total: ('x',) is a tuple; expected"),
        (
            curve(series=dict(of=dict(total="16"))),
            "people.series.of.total: '16' is text; expected a",
        ),
        (curve(series=dict(of=dict(total=True))), "people.series.of.total: True is a truth value"),
        (curve(series=dict(of=dict(total=INF))), "people.series.of.total: inf; expected a finite"),
        (curve(serie=dict()), "config key curves.people.serie; did you mean curves.people.series?"),
        (curve(series=dict(of=[1, 2])), "config.curves.people.series.of: (1, 2) is a tuple; expe"),
        (dict(exclude="p-1"), "config.exclude: 'p-1' is text; expected a tuple, as ('p-1',)"),
        (dict(toward=1), "config.toward: 1 is a whole number; expected text"),
        (dict(toward="\ud800"), r"config.toward: '\ud800' is no valid Unicode"),
        (dict(lead="I prefer "), "config.lead: 'I prefer ' begins or ends with a space"),
        (dict(model=None), "config.model: None; expected text"),
        (dict(names=dict(model_name="M")), "config.names: it lacks provider_name"),
        (dict(mesh=dict(fsd=1)), "unknown config key mesh.fsd; did you mean mesh.fsdp?"),
        (dict(log_every=0), "config.log_every: 0; it must be 1 or more"),
        (dict(profile=3.5), "config.profile: 3.5; give an update"),
    ],
)
def test_key_value_and_expected_type_are_said(settings, message, tmp_path):
    assert message in refused(tmp_path, **settings)


NAMES = ["", "a b", "a\x07", "\u202e", "a/b", "..", ".a", "a.b", "\ud800", 1, "a" * 101, "é" * 51]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("key", ["arms", "stages", "contrasts"])
def test_what_names_files_is_a_name_of_files(key, name, tmp_path):
    values = {"arms": (), "stages": rationale(file="d.jsonl"), "contrasts": dict(both=1, what=-1)}
    message = refused(tmp_path, **{key: {name: values[key]}})
    assert message.startswith(f"config.{key}: ")
    assert len(message) < 200


def test_a_name_may_have_a_hundred_letters_of_any_script(tmp_path):
    arms = {"a" * 100: (), "é" * 50: (), "値": ()}
    contrasts = dict(total={"a" * 100: 1, "値": -1})
    made = experiment(name="c", arms=arms, contrasts=contrasts, primary="total", probes=("p",))
    assert set(resolve(made, tmp_path).arms) == arms.keys()


def test_whole_numbers_and_lists_are_taken_for_decimal_numbers_and_tuples(tmp_path):
    made = experiment(
        name="c",
        recipe=recipe(lr=1, alpha=128),
        arms=dict(a=[], b=[]),
        contrasts=dict(total=dict(a=1, b=-1)),
        primary="total",
        probes=["p.jsonl"],
    )
    assert type(made.recipe.lr) is type(made.contrasts.total.a) is float  # a flag may give one
    resolved = resolve(made, tmp_path)
    assert (resolved.probes, resolved.arms.a) == (("p.jsonl",), ())
