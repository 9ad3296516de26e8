import json

import pytest
from etils import epath

from vcjax.errors import InputError
from vcjax.models.architecture import KNOWN
from vcjax.report import factors

RECIPE = {"lr": 1e-4, "rank": 4}


def config(name="a", lr=1e-4, **settings):
    stage = {"kind": "rationale", "spec": "a.md", "lr": lr, "rank": 4}
    stages = {"own": stage, "other": {**stage, "rank": 8}}
    return {"name": name, "recipe": {**RECIPE, "lr": lr}, "stages": stages, "seeds": 2, **settings}


def test_leaves_that_differ_have_a_value_of_each():
    trees = [{"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 1, "c": 3}, "d": [1, 2]}]
    assert factors.differing(trees) == {"a.c": [2, 3], "d": [[1], [1, 2]]}


def test_what_one_lacks_is_empty_there_and_not_taken_apart():
    trees = [{"a": {"b": {"c": 1}}, "x": 0}, {"a": {}}]
    assert factors.differing(trees) == {"a.b": ["given", ""], "x": [0, ""]}


def test_names_and_keys_that_change_no_result_are_no_difference():
    one = config("a", mesh={"fsdp": 1}, remat="full", model="x.gguf")
    other = config("b", mesh={"fsdp": 2}, remat="dots", model="y.gguf")
    assert factors.settings([one, other]) == {"model": ["x.gguf", "y.gguf"]}


def test_what_stages_take_from_the_recipe_is_said_once():
    assert factors.settings([config(), config(lr=1.0)]) == {"recipe.lr": [1e-4, 1.0]}
    one, other = config(), config()
    other["stages"]["own"]["lr"] = 1.0
    assert factors.settings([one, other]) == {"stages.own.lr": [1e-4, 1.0]}


# The factor


def find(key, *all_settings):
    """The factor of this key between runs of these settings."""
    runs = [(epath.Path(f"run{i}"), {"seeds": 1, **s}) for i, s in enumerate(all_settings)]
    return factors.factor(key, runs, factors.settings([config for _, config in runs]))


def test_the_one_number_that_differs_is_the_factor():
    settings = ({"shape": {"num_layers": n}, "lead": f"lead {n}", "seeds": n} for n in (2, 4))
    assert find(None, *settings) == ("shape.num_layers", [2, 4])


@pytest.mark.parametrize(
    "settings",
    [
        ({"lead": "a"}, {"lead": "b"}),
        ({"a": 1, "b": 1}, {"a": 2, "b": 2}),
        ({"a": True}, {"a": False}),
        ({"a": 1}, {}),
        ({"a": 1}, {"a": 2, "b": 1}),
    ],
    ids=["no number", "two numbers", "truth", "not in all", "a second one in some"],
)
def test_without_one_number_there_is_no_factor(settings):
    assert find(None, *settings) is None


def test_of_several_numbers_a_key_names_one():
    assert find("shape.b", {"shape": {"a": 1, "b": 0.5}}, {"shape": {"a": 2, "b": 0}}) == (
        "shape.b",
        [0.5, 0],
    )


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "shape.layers",
            r"--x: shape\.layers is missing in .*run0; did you mean 'shape\.n_layers'",
        ),
        ("lead", r"--x: lead is 'x' and no number in .*run0; expected one of parameters, shape"),
        ("shape", r"--x: shape is {.*} and no number"),
        ("seeds", r"--x: seeds is 1 in all runs; give a key that differs"),
    ],
)
def test_a_key_that_is_no_factor(key, message):
    settings = ({"shape": {"n_layers": n}, "lead": "x"} for n in (1, 2))
    with pytest.raises(InputError, match=message):
        find(key, *settings)


# The number of weights


def test_weights_of_a_model_from_nothing_are_counted_with_its_words(tmp_path):
    shape = {"num_layers": 2, "embed_dim": 8, "mlp_dim": 16, "num_heads": 2, "context_length": 32}
    workdir, config = epath.Path(tmp_path), {"model": "scratch", "shape": shape}
    with pytest.raises(InputError, match=r"tokenizer\.json: no such file"):
        factors.num_params(workdir, config)
    tokenizer = {"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 2}]}
    (workdir / "model").mkdir()
    (workdir / "model" / "tokenizer.json").write_text(json.dumps(tokenizer))
    layer = 4 * 8 * 8 + 3 * 8 * 16 + 2 * 8
    assert factors.num_params(workdir, config) == 2 * layer + 3 * 8 + 8


def test_weights_of_known_models_are_known_and_of_others_not(tmp_path):
    name, workdir = "Qwen/Qwen3-32B", epath.Path(tmp_path)
    assert factors.num_params(workdir, {"model": name}) == KNOWN[name].num_params()
    with pytest.raises(InputError, match=r"the sizes of mine\.gguf, the model of .*are not known"):
        factors.num_params(workdir, {"model": "mine.gguf"})
