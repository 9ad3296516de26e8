"""What differs between runs, and the factor that their effects are shown against.

`config` is a run's, as JSON.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath

from vcjax import config as configs
from vcjax.errors import InputError, hint
from vcjax.models.architecture import known_architecture, of_shape
from vcjax.schema.differences import RESULT_FREE
from vcjax.workdir import files

PARAMETERS = "parameters"  # the factor that is no key: the number of weights

# A run's name says which it is, and these keys leave its results as they are. Two models are told
# apart by name.
_LEFT_OUT = {"name", *RESULT_FREE} - {"model"}
_GIVEN, _ABSENT = "given", ""  # stand for keys that hold keys, and for keys that are not there


class Factor(NamedTuple):
    """A key of the config, or `PARAMETERS`, and its value in each run."""

    name: str
    values: Sequence[float]


def differing(trees: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The leaves of nested dicts that are not equal in all of them: "a.b.c" -> the value in each.

    Where a key is missing in one, the value is "" there; where it holds keys in others and not in
    all, it is "given" in these, and what it holds is not compared.
    """
    found: dict[str, list[Any]] = {}
    for key in dict.fromkeys(key for tree in trees for key in tree):
        values = [tree.get(key, _ABSENT) for tree in trees]
        if all(isinstance(value, dict) for value in values):
            found |= {f"{key}.{below}": leaf for below, leaf in differing(values).items()}
        elif any(value != values[0] for value in values):
            found[key] = [_GIVEN if isinstance(value, dict) else value for value in values]
    return found


def settings(all_configs: Sequence[dict]) -> dict[str, list[Any]]:
    """The keys of resolved configs that differ and may change results, as `differing`; without the
    keys of stages that are the recipe's in all runs."""
    relevant = [{k: v for k, v in c.items() if k not in _LEFT_OUT} for c in all_configs]
    found = differing(relevant)
    return {key: v for key, v in found.items() if not _is_of_recipe(key, all_configs)}


def _is_of_recipe(key: str, all_configs: Sequence[dict]) -> bool:
    """Whether a stage's key has the recipe's value in every run; key: "stages.america.lr"."""
    section, *names = key.split(".")
    if section != "stages" or len(names) != 2:
        return False
    stage, name = names
    return all(
        name in config["recipe"] and config["stages"][stage][name] == config["recipe"][name]
        for config in all_configs
    )


def factor(
    key: str | None, runs: Sequence[tuple[epath.Path, dict]], differences: dict[str, list[Any]]
) -> Factor | None:
    """The factor of this name; of None the one number that differs between the runs.

    runs: workdir and config of each. differences: their `settings`.

    Returns None where key is None and no number, or more than one, differs; the number of seeds is
    not counted. Raises InputError where the key holds no number in some run, or the same in all.
    """
    if key is None:
        numbers = [k for k, v in differences.items() if k != "seeds" and any(map(_is_number, v))]
        if len(numbers) != 1 or not all(map(_is_number, differences[numbers[0]])):
            return None
        return Factor(numbers[0], differences[numbers[0]])
    if key == PARAMETERS:
        values = [num_params(workdir, config) for workdir, config in runs]
    else:
        values = [_leaf(config, key) for _, config in runs]
    for (workdir, _), value in zip(runs, values, strict=True):
        if not _is_number(value):
            known = [PARAMETERS, *(k for k, v in differences.items() if all(map(_is_number, v)))]
            what = "is missing" if value is _ABSENT else f"is {value!r:.60} and no number"
            raise InputError(f"--x: {key} {what} in the config of {workdir}; {hint(key, known)}")
    if len(set(values)) == 1:
        raise InputError(f"--x: {key} is {values[0]} in all runs; give a key that differs")
    return Factor(key, values)


def num_params(workdir: epath.Path, config: dict) -> int:
    """The number of weights of a run's model, those of adapters left out.

    Raises InputError where the model's sizes are in neither the run nor vcjax.
    """
    model = config["model"]
    if model == configs.SCRATCH:
        path = workdir / "model" / "tokenizer.json"
        content = files.read_json(path)
        if content is None:
            raise InputError(f"{path}: no such file, and it says how many words the model knows")
        vocab_size = len(content["model"]["vocab"]) + len(content["added_tokens"])
        return of_shape(**config["shape"], vocab_size=vocab_size).num_params()
    architecture = known_architecture(model)
    if architecture is None:
        raise InputError(
            f"--x={PARAMETERS}: the sizes of {model}, the model of {workdir}, are not known here; "
            "give a key of the config"
        )
    return architecture.num_params()


def _leaf(config: dict, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
