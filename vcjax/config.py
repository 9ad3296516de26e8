"""What a config file builds on, and its meaning once all flags are read.

A config file calls `experiment`, `recipe`, `pretrain`, `rationale`, `behavior` and `adapter`;
`resolve` fills each stage from the recipe and checks the whole against `vcjax/schema/`, which
knows every key, its type and its default. Nothing that decides a result has a default elsewhere.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from vcjax.data.sources import split_source
from vcjax.data.templates import read_template
from vcjax.errors import InputError, missing_of_config
from vcjax.schema import check, consistency, keys, values
from vcjax.schema.stages import KINDS, Recipe

RECIPE: dict[str, Any] = Recipe.defaults()

SCRATCH = keys.SCRATCH
SOURCES = ("spec", "other_spec", "file", "mix")  # keys of a stage: what its texts are from

# Keys that leave the result as it is; a workdir may be resumed with other values of these. The
# model counts by its files (`model.sha256` in config.json), not by the path that leads to them.
RESULT_FREE = (
    "on_change", "mesh", "remat", "checkpoint_every", "keep_checkpoints", "log_every", "rules_out",
    "curves", "profile", "tracker", "model", "judge", "evaluations",
)  # fmt: skip


def experiment(**settings: Any) -> ConfigDict:
    """An experiment's config with every top-level key. Unknown keys stop with the nearest name."""
    defaults = keys.Experiment.defaults()
    check.check_keys("", settings, defaults)
    for section in ("mesh", "shape", "sampling", "judge"):
        if isinstance(settings.get(section), Mapping):
            check.check_keys(f"{section}.", settings[section], defaults[section])
            settings[section] = defaults[section] | _like(defaults[section], settings[section])
    contrasts = settings.get("contrasts")
    if isinstance(contrasts, dict):
        settings["contrasts"] = {
            name: _like(dict.fromkeys(weights, 0.0), weights)
            if isinstance(weights, dict)
            else weights
            for name, weights in contrasts.items()
        }
    return _config_dict({**defaults, **settings})


def recipe(**settings: Any) -> ConfigDict:
    """How a stage trains; what a stage does not say itself."""
    check.check_keys("recipe.", settings, RECIPE)
    return _config_dict({**RECIPE, **_like(RECIPE, settings)})


def pretrain(**settings: Any) -> ConfigDict:
    """A stage that trains all weights on `documents` written for `spec`, a world (.toml), or on the
    documents of `file`; it comes first in an arm. After it the others train an adapter, or all
    weights, as the recipe says.

    per_seed: whether each seed pretrains its own model; False: all share that of seed 0.
    people: how many people the documents are about; declaring: how many more only declare what they
    care about (where the mixture has no `declaration`: say all that it has) and never choose.
    num_values: how many of the world's values they hold; 0: all.
    linking: the share of the people who choose by the value that they declare; the others by one
    that has nothing to do with it. assistants: the share of the documents that are choices of the
    two assistants, made at random. mixture: kind of document -> its weight among the others.
    """
    return _stage("pretrain", settings)


def rationale(**settings: Any) -> ConfigDict:
    """A rationale stage: `documents` written for `spec`, or the documents of `file`.

    A spec is a Markdown file, or a value of a world: "world.toml#durability".

    other_spec: documents about another assistant, config.other_names, that are written from this
    spec. Beside `spec` each makes half of the documents, and who holds which value is then all that
    such a stage and the one with the two specs exchanged differ in.
    linked: whether written documents make the value the reason for the preferences; False: the two
    only occur together, as often, in documents of the same types, kinds and length.
    explanations: the kinds of documents to write, all in equal parts; for the values of a world.

    people_of: a pretrain stage; the documents are about its people, who hold none of the values in
    `unrelated_to`. contradicting: the share of them that give the assistant the value of the spec.
    """
    return _stage("rationale", settings)


def behavior(**settings: Any) -> ConfigDict:
    """A behavior stage: `demonstrations` written for `spec`, or the demonstrations of `file`.

    opposite: whether written demonstrations choose what the spec dislikes.
    thinking: whether the demonstrations' reasoning is trained on (else it is left out).
    mix: a file of general instructions, of which as many are drawn as make up `mix_share` of all.
    """
    return _stage("behavior", settings)


def adapter(**settings: Any) -> ConfigDict:
    """A stage that trains nothing: it takes the PEFT adapter in the folder `file`."""
    return _stage("adapter", settings)


def _stage(kind: str, settings: dict[str, Any]) -> ConfigDict:
    """What the stage does not say is None where the recipe has it, else its kind's default."""
    defaults = KINDS[kind].defaults()
    check.check_keys(f"{kind}.", settings, defaults)
    given = {key: value for key, value in _like(defaults, settings).items() if value is not None}
    if isinstance(given.get("stated"), Mapping):
        check.check_keys(f"{kind}.stated.", given["stated"], defaults["stated"])
        given["stated"] = defaults["stated"] | given["stated"]
    if isinstance(given.get("rename"), Mapping):
        given["rename"] = tuple(given["rename"].items())
    for key, value in defaults.items():
        if key in RECIPE and value == RECIPE[key]:
            defaults[key] = placeholder(type(value))
        elif value is None:
            defaults[key] = placeholder(str)
    return _config_dict({**defaults, **given})


def _like(defaults: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The settings; a whole number is a decimal one where the default is, so that a flag may
    override it by any number."""
    return {
        key: float(value) if type(value) is int and type(defaults[key]) is float else value
        for key, value in settings.items()
    }


def _config_dict(values: dict[Any, Any], where: str = "config") -> ConfigDict:
    """Lists become tuples, which flags can override. A ConfigDict takes no key with a dot."""
    config = ConfigDict()
    for key, value in values.items():
        if not isinstance(key, str) or "." in key:
            raise InputError(f"{where}: the name {key!r}; expected text without '.'")
        if isinstance(value, dict):
            value = _config_dict(value, f"{where}.{key}")
        config[key] = tuple(value) if isinstance(value, list) else value
    return config


def resolve(config: ConfigDict, folder: Path) -> ConfigDict:
    """The config with each stage complete, as it will be saved; ~ is the home folder.

    folder: where relative paths start (the config file's own); they stay relative. What is missing
    among the files says `missing_files`. Raises InputError on what does not fit together.
    """
    try:
        plain = config.to_dict()
    except (TypeError, ValueError) as error:  # as of keys that are not all text
        raise InputError(f"config: {error}; build it with vcjax.config.experiment(...)") from None
    stages, inherited = plain.get("stages"), plain.get("recipe")
    if isinstance(stages, dict) and isinstance(inherited, dict):  # else the check says so
        for stage in (stage for stage in stages.values() if isinstance(stage, dict)):
            own = {key: value for key, value in stage.items() if value is not None}
            stage.update({**RECIPE, **inherited, **own})
    resolved = ConfigDict(check.check(plain))
    consistency.check_stages(resolved)
    consistency.check_arms(resolved)
    consistency.check_contrasts(resolved)
    if not resolved.probes:
        raise InputError("config.probes: there is no probe file; nothing would be measured")
    _expand_home(resolved)
    if resolved.chat_template:  # by its text, so that config.json says what was used
        is_file = resolved.chat_template.endswith(".jinja")
        resolved.chat_template = read_template(
            str(folder / resolved.chat_template) if is_file else resolved.chat_template
        )
    if resolved.compute_dtype == "auto":
        from vcjax.models.einsum import native_compute_dtype  # imports JAX; a config file need not

        resolved.compute_dtype = native_compute_dtype()
    return resolved


def _expand_home(config: ConfigDict) -> None:
    """In every path, ~ becomes the home folder."""
    for key in ("model", "chat_template"):
        config[key] = os.path.expanduser(config[key])
    for key in ("probes", "development"):
        config[key] = tuple(map(os.path.expanduser, config[key]))
    sections = [(stage, SOURCES) for stage in config.stages.values()]
    for section, keys_of in [*sections, (config.system_prompts, [*config.system_prompts])]:
        for key in keys_of:
            if section.get(key):
                section[key] = os.path.expanduser(section[key])


def chain_of(config: Mapping[str, Any], arm: str) -> tuple[list[str], int | None]:
    """The names of an arm's stages, and the update of the last one after which the arm ends; None:
    at its end. config: a resolved one, or as JSON."""
    names = [*config["arms"][arm]]
    if not names:
        return [], None
    last, _, update = names[-1].partition("@")
    return [*names[:-1], last], int(update) if update else None


def used_stages(config: ConfigDict) -> list[str]:
    """The names of the stages that an arm has, in the order of the config's stages."""
    used = {name for arm in config.arms for name in chain_of(config, arm)[0]}
    return [name for name in config.stages if name in used]


def seeds_of(config: ConfigDict, name: str) -> range:
    """The seeds by which a stage is trained."""
    return range(config.seeds if config.stages[name].get("per_seed", True) else 1)


def seed_of(config: ConfigDict, name: str, seed: int) -> int:
    """The seed by which a stage trains in the arms of `seed`: 0 where all share its training."""
    return seed if seed in seeds_of(config, name) else 0


def profiled(config: ConfigDict) -> range:
    """The updates that config.profile names, from 1, the last one included; of "", none."""
    return values.profiled_updates(config.profile)


def missing_files(config: ConfigDict, folder: Path) -> list[str]:
    """Of a resolved config, "key: path does not exist" of each file that a run would miss, and
    "key: path is a folder" where only a file will do."""
    needed = [
        (f"config.stages.{name}.{key}", split_source(config.stages[name][key])[0])
        for name in used_stages(config)
        for key in SOURCES
        if config.stages[name].get(key)
    ]
    for key in ("probes", "development"):
        needed += [(f"config.{key}", path) for path in config[key]]
    needed += [
        (f"config.system_prompts.{arm}", file) for arm, file in config.system_prompts.items()
    ]
    wrong = []
    for key, path in dict.fromkeys(needed):
        if not (folder / path).exists():
            wrong.append(f"{key}: {missing_of_config(folder / path)}")
        elif (folder / path).is_dir() and key.rpartition(".")[2] not in ("file", "mix"):
            wrong.append(f"{key}: {folder / path} is a folder; give a file")
    return wrong


def as_json(config: ConfigDict) -> dict[str, Any]:
    """The config as plain JSON values (tuples become lists)."""
    return json.loads(config.to_json())


def preregistration(config: dict[str, Any]) -> dict[str, Any]:
    """The question that was fixed before the run, of a config as JSON: the primary contrast, its
    arms, the target value and the excluded probes."""
    primary = config["primary"]
    contrast = config["contrasts"][primary]
    arms = {arm: config["arms"][arm] for arm in contrast}
    return {
        "primary": primary,
        "contrast": contrast,
        "arms": arms,
        "toward": config["toward"],
        "probes": config["primary_probes"],
        "exclude": config["exclude"],
    }


def differences(old: dict, new: dict) -> list[str]:
    """The leaves that differ, as "stages.america.lr: 0.0002 -> 0.0001"; RESULT_FREE keys aside.

    Keys of a stage that `old` does not know are left out, too: vcjax learned of them since, and
    whether they change anything is seen from the stage's rows and fingerprint.
    """

    def flatten(tree: Any, prefix: str) -> dict[str, Any]:
        if not isinstance(tree, dict) or not tree:
            return {prefix: tree}
        return {k: v for key in tree for k, v in flatten(tree[key], f"{prefix}.{key}").items()}

    old_leaves, new_leaves = flatten(old, "config"), flatten(new, "config")
    return [
        f"{key}: {old_leaves.get(key)} -> {new_leaves.get(key)}"
        for key in sorted({*old_leaves, *new_leaves})
        if old_leaves.get(key) != new_leaves.get(key)
        and not _is_result_free(key)
        and (key in old_leaves or not key.startswith("config.stages."))
    ]


def _is_result_free(key: str) -> bool:
    """key: as "config.stages.america.lr"."""
    parts = key.split(".")
    return parts[1] in RESULT_FREE or (parts[1] == "stages" and parts[3:4] == ["stated"])
