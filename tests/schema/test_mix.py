"""What a config may say of a stage's file and of the sources that it mixes in."""

import sys

import pytest
from absl import flags
from ml_collections import config_flags

from vcjax.config import adapter, as_json, behavior, experiment, rationale, resolve, source
from vcjax.errors import InputError


def resolved(folder, stage):
    return resolve(
        experiment(
            name="c",
            stages=dict(what=stage),
            arms=dict(base=(), what=("what",)),
            contrasts=dict(total=dict(what=1, base=-1)),
            primary="total",
            probes=("probes.jsonl",),
            compute_dtype="float32",
        ),
        folder,
    ).stages.what


def refusal(folder, build):
    with pytest.raises(InputError) as error:
        resolved(folder, build())
    assert "\n" not in str(error.value)
    return str(error.value)


MIX = "hub:org/mix@abc"


def test_a_list_of_sources_is_kept_by_their_names(tmp_path):
    mix = [
        source(MIX, splits=("no_robots",), rows=9500),
        source(MIX, splits=("mmlu",), share=0.1),
        source("~/my.data/chats v2.jsonl", tokens=1000),
        source("other/chats v2.jsonl"),
    ]
    stage = resolved(tmp_path, behavior(file="own.jsonl", mix=mix))
    assert {*stage.mix} == {"no_robots", "mmlu", "chats_v2", "chats_v2_2"}
    first = {"file": MIX, "splits": ["no_robots"], "rows": 9500, "tokens": 0, "share": 0.0}
    assert as_json(stage)["mix"]["no_robots"] == first
    assert not stage.mix.chats_v2.file.startswith("~")
    assert as_json(stage) == as_json(resolved(tmp_path, behavior(file="own.jsonl", mix=(*mix,))))


def test_names_may_be_given(tmp_path):
    mix = dict(replay=source(MIX, splits=["a", "b"], rows=3))
    stage = resolved(tmp_path, rationale(file="own.jsonl", mix=mix, order=["replay", "file"]))
    assert stage.mix.replay.splits == ("a", "b")
    assert (stage.order, stage.mix_share) == (("replay", "file"), 0.0)


def test_a_flag_sets_a_key_of_one_source(monkeypatch):
    one = source(MIX, splits=("a",), rows=3)
    config = experiment(
        stages=dict(x=behavior(file="f", mix=[one]), y=behavior(file="g", mix=[one]))
    )
    given = ["", "--config.stages.x.mix.a.rows=7", "--config.stages.x.mix.a.share=0"]
    monkeypatch.setattr(sys, "argv", given)
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict("config", config, flag_values=values)
    values(sys.argv)
    assert (config.stages.x.mix.a.rows, config.stages.y.mix.a.rows) == (7, 3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: source("f", row=3), "unknown config key source.row; did you mean source.rows?"),
        (lambda: behavior(file="f", mix=["g"]), "behavior.mix: 'g'; give source(...) of each"),
        (
            lambda: behavior(file="f", mix=dict(a=dict(file="g", row=1))),
            "unknown config key stages.what.mix.a.row; did you mean stages.what.mix.a.rows?",
        ),
        (
            lambda: behavior(file="f", mix=[source("g", rows=-1)]),
            "config.stages.what.mix.g.rows: -1; it must be 0 or more",
        ),
        (
            lambda: behavior(file="f", mix=[source("g", rows=1, share=0.1)]),
            "config.stages.what.mix.g.share: rows says how many already; give one of them",
        ),
        (
            lambda: behavior(file="f", mix=dict(a=source(""))),
            "config.stages.what.mix.a.file: it is empty; expected text",
        ),
        (
            lambda: behavior(file="f", mix=dict(file=source("g"))),
            "config.stages.what.mix.file: the stage's own texts have this name; give another",
        ),
        (
            lambda: behavior(
                file="f", mix=dict(a=source("g", share=0.5), b=source("h", share=0.5))
            ),
            "config.stages.what.mix: the shares sum to 1; they are of all records",
        ),
        (
            lambda: behavior(file="f", mix=dict(a=source("g", rows=7), b=source("g", rows=9))),
            "config.stages.what.mix.b: g is mix.a already, and would give the same records again;",
        ),
        (
            lambda: behavior(file="f", mix=[source("g")], mix_share=0.5),
            "config.stages.what.mix_share: each source of mix has a share of its own; leave it out",
        ),
        (
            lambda: behavior(file="f", mix=3),
            "config.stages.what.mix: 3 is a whole number; expected text",
        ),
        (
            lambda: behavior(file="f", order=("file",)),
            "config.stages.what.order: nothing is mixed in; leave it out",
        ),
        (
            lambda: behavior(file="f", mix=[source("robots")], order=("file", "robot")),
            "config.stages.what.order: there is no source 'robot'; did you mean 'robots'?",
        ),
        (
            lambda: behavior(file="f", mix=[source("robots")], order=("robots",)),
            "config.stages.what.order: name each source once: file, robots",
        ),
        (
            lambda: behavior(file="f", rows=2, tokens=2),
            "config.stages.what.tokens: rows says how many already; give one of them",
        ),
        (
            lambda: behavior(spec="s.md", demonstrations=5, rows=2),
            "config.stages.what.rows: they are of a file; of a spec say demonstrations",
        ),
        (
            lambda: rationale(spec="s.md", documents=5, splits=("a",)),
            "config.stages.what.splits: they are of a file; of a spec say documents",
        ),
        (
            lambda: rationale(spec="s.md", documents=5, broken="leave_out"),
            "config.stages.what.broken: no records are read; leave it out",
        ),
        (
            lambda: behavior(file="hub:chats"),
            "config.stages.what.file: 'hub:chats'; expected hub:organisation/name@revision, ",
        ),
        (
            lambda: behavior(file="tfds:chats/train"),
            "config.stages.what.file: 'tfds:chats/train'; expected tfds:name:version, ",
        ),
        (
            lambda: behavior(file="f", mix=[source("hub:chats")]),
            "config.stages.what.mix.hub:chats.file: 'hub:chats'; expected hub:organisation/name",
        ),
        (
            lambda: behavior(file="tfds:chats:1.0.0/train", splits=("test",)),
            "config.stages.what.splits: 'tfds:chats:1.0.0/train' names its split; leave one of ",
        ),
        (
            lambda: adapter(file="a", rows=3),
            "config.stages.what.rows: an adapter has no records; leave it out",
        ),
        (
            lambda: adapter(file="hub:org/adapter"),
            "config.stages.what.file: 'hub:org/adapter' is a data set; give an adapter's folder",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, build, message):
    assert refusal(tmp_path, build).startswith(message)
