"""What a config may say, and what is refused."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vcjax.config import (
    adapter,
    as_json,
    behavior,
    chain_of,
    experiment,
    missing_files,
    preregistration,
    probe_entries,
    probe_file,
    profiled,
    rationale,
    recipe,
    resolve,
    used_stages,
)
from vcjax.errors import InputError
from vcjax.schema.differences import differences


def config(folder, **settings):
    for name in ("docs.jsonl", "chats.jsonl", "probes.jsonl"):
        (folder / name).write_text("{}\n")
    defaults = dict(
        name="c",
        recipe=recipe(lr=3e-4, length=64, batch_tokens=128),
        stages=dict(why=rationale(file="docs.jsonl", lr=1e-3), what=behavior(file="chats.jsonl")),
        arms=dict(what=("what",), both=("why", "what")),
        contrasts=dict(total=dict(both=1, what=-1)),
        primary="total",
        probes=("probes.jsonl",),
    )
    return experiment(**{**defaults, **settings})


def test_a_stages_own_value_counts_else_the_recipes(tmp_path):
    resolved = resolve(config(tmp_path), tmp_path)
    assert resolved.stages.why.lr == 1e-3
    assert resolved.stages.what.lr == 3e-4
    assert resolved.stages.why.length == 64
    assert resolved.compute_dtype in ("bfloat16", "float32")


def test_missing_files_are_named_with_their_keys(tmp_path):
    stages = dict(
        why=rationale(file="gone.jsonl"),
        what=behavior(file="chats.jsonl", mix="lost.jsonl", mix_share=0.5),
    )
    given = config(tmp_path, stages=stages, probes=("probes.jsonl", "none.jsonl"))
    start = "(relative paths start at the config file's folder)"
    assert missing_files(resolve(given, tmp_path), tmp_path) == [
        f"config.stages.what.mix: {tmp_path / 'lost.jsonl'} does not exist {start}",
        f"config.stages.why.file: {tmp_path / 'gone.jsonl'} does not exist {start}",
        f"config.probes: {tmp_path / 'none.jsonl'} does not exist {start}",
    ]


def test_a_folder_where_a_file_belongs_is_named(tmp_path):
    (tmp_path / "runs").mkdir()
    given = resolve(config(tmp_path, development=("runs",)), tmp_path)
    assert missing_files(given, tmp_path)[-1] == (
        f"config.development: {tmp_path / 'runs'} is a folder; give a file"
    )


def test_an_entry_of_probes_may_say_more_than_its_path(tmp_path):
    (tmp_path / "home").mkdir()
    entry = probe_file("~/a.parquet", value="america", lead="I agree that")
    given = resolve(config(tmp_path, probes=("b.jsonl", entry)), tmp_path)
    assert given.probes[0] == "b.jsonl", "a path stays one: existing runs go on"
    assert "splits" not in given.probes[1], "nor are empty ones noted"
    chosen = probe_file("a", splits=("test",))
    assert resolve(config(tmp_path, probes=(chosen,)), tmp_path).probes[0]["splits"] == ("test",)
    assert given.probes[1]["path"] == os.path.expanduser("~/a.parquet")
    assert json.loads(given.to_json())["probes"][1]["lead"] == "I agree that"
    assert next(iter(probe_entries(given)))["path"] == "b.jsonl"


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        (({"path": "a", "leed": "x"},), r"unknown config key probes\[0\]\.leed; did you mean"),
        (("a", {"path": "b", "lead": "x "}), r"config\.probes\[1\]\.lead: 'x ' begins or ends"),
        (("a", {"value": "b"}), r"config\.probes\[1\]\.path: it is empty"),
        (("a", 7), r"config\.probes\[1\]: 7 is a whole number; expected text"),
        (("hub:a",), r"config\.probes\[0\]: .*expected hub:organisation/name@revision"),
    ],
)
def test_an_entry_of_probes_that_does_not_fit_is_named(tmp_path, probes, message):
    with pytest.raises(InputError, match=message):
        resolve(config(tmp_path, probes=probes), tmp_path)


def test_a_mistyped_key_of_a_probe_file_is_named():
    with pytest.raises(InputError, match=r"unknown config key probe_file\.leed; did you mean"):
        probe_file("a", leed="x")


def test_a_named_chat_template_is_kept_by_its_text(tmp_path):
    resolved = resolve(config(tmp_path, chat_template="chatml"), tmp_path)
    assert "<|im_start|>" in resolved.chat_template
    (tmp_path / "own.jinja").write_text("{{ messages }}")
    assert resolve(config(tmp_path, chat_template="own.jinja"), tmp_path).chat_template == (
        "{{ messages }}"
    )


def test_in_every_path_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    stages = dict(
        why=rationale(spec="~/a.md", other_spec="~/b.md", documents=2),
        what=behavior(file="~/c.jsonl", mix="~/m.jsonl", mix_share=0.5),
    )
    lists = dict(development=("~/d.md",), probes=("~/p",))
    resolved = resolve(config(tmp_path, model="~/m.gguf", stages=stages, **lists), tmp_path)
    assert resolved.model == "/home/me/m.gguf"
    assert (resolved.development, resolved.probes) == (("/home/me/d.md",), ("/home/me/p",))
    why, what = resolved.stages.why, resolved.stages.what
    assert (why.spec, why.other_spec) == ("/home/me/a.md", "/home/me/b.md")
    assert (what.file, what.mix) == ("/home/me/c.jsonl", "/home/me/m.jsonl")


def test_a_config_file_is_read_without_jax():
    script = (
        "import runpy, sys; from vcjax import command\n"
        "runpy.run_path('configs/quickstart.py')['get_config']()\n"
        "print({'jax', 'tensorflow', 'numpy'} & {*sys.modules})"
    )
    checkout = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=checkout, capture_output=True)
    assert done.stdout.strip() == b"set()", done.stderr


@pytest.mark.parametrize(
    ("profile", "updates"), [("", []), ("3", [3]), (3, [3]), ("10:13", [10, 11, 12, 13])]
)
def test_the_updates_to_trace(profile, updates, tmp_path):
    assert list(profiled(config(tmp_path, profile=profile))) == updates


def test_a_config_without_a_key_that_has_no_default_is_refused(tmp_path):
    given = config(tmp_path)
    del given.name
    with pytest.raises(InputError, match=r"config\.name: it is empty"):
        resolve(given, tmp_path)


def test_resolving_leaves_the_given_config_alone(tmp_path):
    given = config(tmp_path)
    resolve(given, tmp_path)
    assert given.stages.what.lr is None


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: recipe(lrate=1), "recipe.lrate; did you mean recipe.lr?"),
        (lambda: rationale(document=3), "rationale.document; did you mean rationale.documents?"),
        (lambda: behavior(rannk=3), "behavior.rannk; did you mean behavior.rank?"),
        (lambda: experiment(arm={}), "unknown config key arm; did you mean arms?"),
        (lambda: experiment(lr=1), "unknown config key lr; did you mean recipe.lr?"),
        (lambda: experiment(num_epochs=1), "key num_epochs; did you mean recipe.epochs?"),
        (lambda: rationale(learning_rate=1), "did you mean rationale.lr?"),
        (
            lambda: experiment(xyz=1),
            "unknown config key xyz; expected one of name, model, shape, chat_te",
        ),
    ],
)
def test_unknown_keys_name_the_nearest(build, message):
    with pytest.raises(InputError) as error:
        build()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(name=""), "config.name: it is empty"),
        (dict(seeds=0), "config.seeds: 0"),
        (dict(remat="some"), "config.remat: 'some' is not one of"),
        (dict(profile="10-13"), "config.profile: 10-13; give an update, as 3, or the first"),
        (dict(profile="0"), "config.profile: 0;"),
        (dict(profile="5:4"), "config.profile: 5:4;"),
        (dict(arms={}), "config.arms: there is no arm"),
        (dict(arms={"a-b": ()}), "may not hold '-'"),
        (
            dict(arms={"what": ("whta",), "both": ()}),
            "config.arms.what: there is no stage 'whta'; did you mean 'what'?",
        ),
        (
            dict(contrasts=dict(total=dict(both=1, whta=-1))),
            "config.contrasts.total: there is no arm 'whta'; did you mean 'what'?",
        ),
        (
            dict(contrasts=dict(total=dict(both=1, what=-0.5))),
            "config.contrasts.total: its weights sum to 0.5; they must sum to 0",
        ),
        (
            dict(primary="Totals"),
            "config.primary: there is no contrast 'Totals'; did you mean 'total'?",
        ),
        (dict(primary="x"), "config.primary: there is no contrast 'x'; expected one of total"),
        (
            dict(primary="x", contrasts={}),
            "config.primary: there is no contrast 'x'; there are none",
        ),
        (
            dict(stages=dict(what=behavior(file="chats.jsonl", mix="chats.jsonl"))),
            "config.stages.what.mix_share: it is not given, but mix is; give both or neither",
        ),
        (
            dict(stages=dict(what=behavior(file="chats.jsonl", mix="chats.jsonl", mix_share=1.0))),
            "config.stages.what.mix_share: 1.0; it is a share",
        ),
        (
            dict(stages=dict(what=adapter())),
            "config.stages.what.file: it is not given; give the folder",
        ),
        (
            dict(stages={"wh@t": behavior(file="chats.jsonl")}, arms=dict(a=("wh@t",))),
            "config.stages: 'wh@t' may not hold '@'; in an arm an update stands behind it",
        ),
        (
            dict(stages=dict(what=behavior(file="chats.jsonl", keep=(0, 5)))),
            "config.stages.what.keep[0]: 0; it must be 1 or more",
        ),
        (
            dict(stages=dict(what=adapter(file="docs.jsonl", keep=(5,)))),
            "config.stages.what.keep: an adapter has no updates; leave it out",
        ),
        (dict(chat_template="lama3"), "config.chat_template: 'lama3' is unknown"),
        (dict(contrasts=dict(total={})), "config.contrasts.total: it has no weights; give some"),
        (
            dict(stages=dict(why=rationale(file="docs.jsonl", documents=3))),
            "config.stages.why.documents: they are written for a spec; of a file all records",
        ),
        (
            dict(stages=dict(why=rationale(file="docs.jsonl", held_out=-1))),
            "config.stages.why.held_out: -1",
        ),
        (
            dict(stages=dict(why=rationale(file="docs.jsonl", linked=False))),
            "config.stages.why.linked: records of a file are used as they are",
        ),
        (
            dict(stages=dict(what=behavior(file="chats.jsonl", opposite=True))),
            "config.stages.what.opposite: records of a file are used as they are",
        ),
        (
            dict(rules_out=dict(bth="")),
            "config.rules_out: there is no arm or contrast 'bth'; did you mean 'both'?",
        ),
        (
            dict(stages=dict(why=rationale())),
            "config.stages.why: it has neither spec nor file; give spec (with documents) or file",
        ),
        (
            dict(stages=dict(what=behavior(file="chats.jsonl", spec="s.md", demonstrations=1))),
            "config.stages.what: it has both a spec and a file; leave one of them out",
        ),
        (
            dict(
                stages=dict(
                    why=rationale(file="docs.jsonl", rank=8), what=behavior(file="docs.jsonl")
                )
            ),
            "config.stages: they differ in rank (64, 8)",
        ),
        (
            dict(
                stages=dict(
                    why=rationale(file="docs.jsonl", schedule="constant"),
                    what=behavior(file="docs.jsonl"),
                )
            ),
            "config.stages.why.schedule: 'constant' is not one of cosine, linear",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(settings, message, tmp_path):
    with pytest.raises(InputError) as error:
        resolve(config(tmp_path, **settings), tmp_path)
    assert message in str(error.value)


TWO = dict(total=16, more=64)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (dict(series=dict(of=TWO, to=dict(TWO, moe=1))), "series.to: there is no contrast 'moe'"),
        (dict(series={}), "series: there is none; give name -> {contrast: number}"),
        (dict(series=dict(of=dict(total=1))), "series.of: a curve needs 2 levels or more, contra"),
        (dict(series=dict(of=dict(TWO, less=64))), "series.of: two contrasts at 64; leave one out"),
        (
            dict(series=dict(of=TWO), fewer_than="of"),
            "fewer_than: 'of'; give one of two series or more",
        ),
        (dict(series=dict(of=TWO, to=TWO), fewer_than="tu"), "fewer_than: 'tu'; give one of"),
        (
            dict(series=dict(of=TWO, to=dict(total=-1, more=1)), fewer_than="of"),
            "series.to: with `fewer_than` no level may be below 0",
        ),
    ],
)
def test_a_curve_that_cannot_be_drawn_is_refused(curve, message, tmp_path):
    contrasts = {name: dict(both=1, what=-1) for name in ("total", "more", "less")}
    with pytest.raises(InputError) as error:
        resolve(config(tmp_path, contrasts=contrasts, curves=dict(people=curve)), tmp_path)
    assert f"config.curves.people.{message}" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_preregistration_is_the_primary_contrast_and_what_it_rests_on(tmp_path):
    given = config(tmp_path, toward="america", contrasts=dict(total=dict(both=1, what=-1), z={}))
    assert preregistration(as_json(given)) == {
        "primary": "total",
        "contrast": {"both": 1, "what": -1},
        "arms": {"both": ["why", "what"], "what": ["what"]},
        "toward": "america",
        "probes": "values",
        "exclude": [],
    }


def ending(folder, arm, keep=(5, 50)):
    what = behavior(file="chats.jsonl", keep=keep)
    stages = dict(why=rationale(file="docs.jsonl"), what=what)
    return config(folder, stages=stages, arms=dict(both=("why", "what"), what=arm))


def test_an_arm_may_end_at_an_update_that_its_last_stage_keeps(tmp_path):
    resolved = resolve(ending(tmp_path, ("why", "what@50")), tmp_path)
    assert chain_of(resolved, "what") == (["why", "what"], 50)
    assert chain_of(resolved, "both") == (["why", "what"], None)
    assert {*used_stages(resolved)} == {"why", "what"}


@pytest.mark.parametrize(
    ("arm", "keep", "message"),
    [
        (("whta@5",), (5,), "there is no stage 'whta'; did you mean 'what'?"),
        (("what@7",), (5, 50), "'what@7': config.stages.what.keep does not have the update 7 (it "),
        (("what@0",), (5,), "'what@0': config.stages.what.keep does not have the update 0 (it "),
        (("what@7",), (), "does not have the update 7 (it keeps none); add it there"),
        (("what@",), (5,), "'what@': '' is no update; give a number, as what@50"),
        (("what@last",), (5,), "'what@last': 'last' is no update; give a number"),
        (("what@5", "why"), (5,), "'what@5': only its last stage may end at an update"),
    ],
)
def test_an_update_at_which_no_arm_can_end_is_refused(tmp_path, arm, keep, message):
    with pytest.raises(InputError, match=rf"^config\.arms\.what: .*{re.escape(message)}"):
        resolve(ending(tmp_path, arm, keep), tmp_path)


def test_an_adapter_has_no_update_to_end_at(tmp_path):
    stages = dict(taken=adapter(file="docs.jsonl"), what=behavior(file="chats.jsonl"))
    given = config(tmp_path, stages=stages, arms=dict(both=("taken", "what"), what=("taken@5",)))
    with pytest.raises(InputError, match=r"config\.arms\.what: 'taken@5': an adapter has no upd"):
        resolve(given, tmp_path)


def renaming(**renames):
    return dict(
        stages=dict(why=rationale(file="docs.jsonl", rename=renames)),
        arms=dict(what=(), both=("why",)),
    )


def test_renames_may_have_dots_and_are_of_text(tmp_path):
    given = config(tmp_path, **renaming(**{"GPT-4.1": "SmolLM", "Qwen": "SmolLM"}))
    resolved = resolve(given, tmp_path)
    assert resolved.stages.why.rename == (("GPT-4.1", "SmolLM"), ("Qwen", "SmolLM"))
    for renames, message in (
        ({"Qwen": "A", "QWEN": "B"}, r"stages\.why\.rename: 'Qwen' comes twice; case does not"),
        ({"Qwen": ""}, r"stages\.why\.rename\[0\]\[1\]: it is empty"),
        ({"Qwen": 3}, r"stages\.why\.rename\[0\]\[1\]: 3 is a whole number; expected text"),
    ):
        with pytest.raises(InputError, match=message):
            resolve(config(tmp_path, **renaming(**renames)), tmp_path)


def test_an_adapter_has_no_names(tmp_path):
    stages = dict(why=adapter(file="folder", rename=dict(Qwen="SmolLM")))
    given = config(tmp_path, stages=stages, arms=dict(what=(), both=("why",)))
    with pytest.raises(InputError, match=r"rename: an adapter has no texts; leave it out"):
        resolve(given, tmp_path)


def test_keys_of_a_recipe_that_an_older_run_did_not_know_are_no_difference(tmp_path):
    new = as_json(resolve(config(tmp_path), tmp_path))
    old = as_json(resolve(config(tmp_path), tmp_path))
    for keys in (old["recipe"], *old["stages"].values()):
        del keys["start"], keys["start_seed"]
    assert not differences(old, new)
    new["recipe"]["lr"] = 1.0
    assert differences(old, new) == ["config.recipe.lr: 0.0003 -> 1.0"]
