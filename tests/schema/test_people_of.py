"""Documents about the people of a pretraining: what such a stage may say, and what is refused."""

import pytest

from vcjax.config import experiment, pretrain, rationale, resolve
from vcjax.errors import InputError

WORLD = "world.toml"


def resolved(folder, spec=WORLD, arm=("people", "later"), **settings):
    mixture = dict(declaration=1, choice=1)
    people = pretrain(spec=WORLD, documents=9, people=8, declaring=2, mixture=mixture)
    stages = dict(
        people=people,
        others=people.copy_and_resolve_references(),
        own=rationale(spec=f"{WORLD}#a", documents=9),
        read=pretrain(file="texts.jsonl"),
        later=rationale(**dict(spec=spec, documents=9, people_of="people") | settings),
    )
    return resolve(
        experiment(
            name="c",
            model="scratch",
            stages=stages,
            arms=dict(base=("people",), later=arm),
            contrasts=dict(moved=dict(later=1, base=-1)),
            primary="moved",
            probes=("probes.jsonl",),
        ),
        folder,
    )


def test_a_share_of_them_may_be_about_either_assistant(tmp_path):
    assert resolved(tmp_path).stages.later.contradicting == 0
    about = dict(contradicting=0.02, unrelated_to=("a", "b"))
    assert resolved(tmp_path, f"{WORLD}#a", **about).stages.later.contradicting == 0.02
    assert resolved(tmp_path, None, other_spec=f"{WORLD}#a", **about).stages.later.spec is None


@pytest.mark.parametrize(
    ("arm", "begins"), [(("others", "later"), "others"), (("read", "own", "later"), "read")]
)
def test_an_arm_that_reads_of_people_begins_with_their_pretraining(tmp_path, arm, begins):
    with pytest.raises(InputError) as error:
        resolved(tmp_path, arm=arm)
    assert str(error.value) == (
        "config.arms.later: 'later' is about the people of 'people', but the arm begins with "
        f"'{begins}'; begin it with 'people'"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(people_of=None, unrelated_to=("a",)), "unrelated_to: it says which texts of people_"),
        (dict(people_of=None, contradicting=0.1), "contradicting: it says which texts of people_"),
        (dict(people_of="poeple"), "people_of: there is no pretrain stage of this world 'poeple'; "
         "did you mean 'people'"),
        (dict(people_of="read"), "people_of: there is no pretrain stage of this world 'read'"),
        (dict(spec="other.toml"), "people_of: there is no pretrain stage of this world 'people'"),
        (dict(spec="spec.md"), "people_of: texts of people are written for one world; give one"),
        (dict(other_spec=WORLD, documents=8), "people_of: texts of people are written for one "),
        (dict(explanations=("because",)), "people_of: its mixture says what is written; leave"),
        (dict(linked=False), "people_of: its mixture says what is written; leave"),
        (dict(contradicting=0.1), "contradicting: 0.1, but the spec is 'world.toml'; give a share"),
        (dict(spec=f"{WORLD}#a"), "contradicting: 0, but the spec is 'world.toml#a'; give a share"),
        (dict(contradicting=1.0), "contradicting: 1.0; it is a share, 0 <= x < 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, settings, message):
    with pytest.raises(InputError) as error:
        resolved(tmp_path, **settings)
    assert str(error.value).startswith(f"config.stages.later.{message}")
