"""What a config file builds on, and its meaning once all flags are read.

A config file calls `experiment`, `recipe`, `pretrain`, `rationale`, `behavior`, `adapter`,
`source` and `probe_file`; `resolve` fills each stage from the recipe and checks the whole against
`vcjax/schema/`, which knows every key, its type and its default. Nothing that decides a result has
a default elsewhere.
"""

import itertools
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from vcjax.data.sources import OWN, is_data_set, name_of, sources_of, split_source
from vcjax.data.templates import read_template
from vcjax.errors import InputError, missing_of_config
from vcjax.schema import check, consistency, keys, values
from vcjax.schema.stages import KINDS, Recipe, Source

RECIPE: dict[str, Any] = Recipe.defaults()

SCRATCH = keys.SCRATCH
PROBE_PATHS = ("path", "rubric", "spec")  # keys of an entry of `probes`
FOLDERS = ("file", "mix", "probes")  # keys whose path may be of a folder


def experiment(**settings: Any) -> ConfigDict:
    """An experiment's config with every top-level key. Unknown keys stop with the nearest name."""
    defaults = keys.Experiment.defaults()
    check.check_keys("", settings, defaults)
    for section in ("mesh", "shape", "sampling", "judge"):
        if isinstance(settings.get(section), Mapping):
            check.check_keys(f"{section}.", settings[section], defaults[section])
            settings[section] = defaults[section] | _like(defaults[section], settings[section])
    grafts = settings.get("grafts")
    if isinstance(grafts, Mapping):
        settings["grafts"] = {name: _graft(name, graft) for name, graft in grafts.items()}
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
    first_names: where there are any, each of the people is a family, and a document is about any
    member of it: one of these names is drawn for the document.
    linking: the share of the people who choose by the value that they declare; the others by
    values that the seed deals them, whatever they declare. assistants: the share of the documents
    that are choices of the two assistants, made at random. mixture: kind of document -> its weight
    among the others.
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
    mix: texts of other sources, a list of `source(...)`; or one file, of which as many records are
    drawn as make up `mix_share` of all. order: the names of all sources, where these come one after
    another.

    people_of: a pretrain stage; the documents are about its people, who hold none of the values in
    `unrelated_to`. contradicting: the share of them that give the assistant the value of the spec.
    """
    return _stage("rationale", settings)


def behavior(**settings: Any) -> ConfigDict:
    """A behavior stage: `demonstrations` written for `spec`, or the demonstrations of `file`.

    opposite: whether written demonstrations choose what the spec dislikes.
    thinking: whether the demonstrations' reasoning is trained on (else it is left out).
    mix: texts of other sources, a list of `source(...)`; or one file, of which as many records are
    drawn as make up `mix_share` of all. order: the names of all sources, where these come one after
    another.
    """
    return _stage("behavior", settings)


def source(file: str, **settings: Any) -> ConfigDict:
    """Texts for the `mix` of a stage: a file, a folder, or a data set (hub:..., tfds:...).

    splits: of a folder or a data set that has several.
    rows, tokens: so many records, or as many as have together at most so many tokens that are
    trained on. share: as many as make up this share of all records of the stage. At most one of the
    three; none: all. The seed decides which; the fewer are among the more.
    """
    defaults = Source.defaults()
    check.check_keys("source.", settings, defaults)
    return _config_dict({**defaults, "file": file, **_like(defaults, settings)})


def adapter(**settings: Any) -> ConfigDict:
    """A stage that trains nothing: it takes the PEFT adapter in the folder `file`."""
    return _stage("adapter", settings)


def probe_file(path: str, **settings: Any) -> dict[str, Any]:
    """An entry of `probes`: a file, and what it does not say itself.

    lead: the beginning of answers to those of its probes that have none of their own.
    value: of a file that the study publishes, the value that its rows measure
    (`probes/study_files.py`).
    rubric: a file, what a judge of its open questions reads; with {question}, {answer} and, where
    there is a `spec`, {spec} in it.
    spec: a file whose text stands at {spec} in the rubric.
    splits: of a folder or a data set that has several.
    """
    defaults = keys.ProbeFile.defaults()
    check.check_keys("probe_file.", settings, defaults)
    return {**defaults, **settings, "path": path}


def _stage(kind: str, settings: dict[str, Any]) -> ConfigDict:
    """What the stage does not say is None where the recipe has it, else its kind's default."""
    defaults = KINDS[kind].defaults()
    check.check_keys(f"{kind}.", settings, defaults)
    given = {key: value for key, value in _like(defaults, settings).items() if value is not None}
    if isinstance(given.get("stated"), Mapping):
        check.check_keys(f"{kind}.stated.", given["stated"], defaults["stated"])
        given["stated"] = defaults["stated"] | given["stated"]
    if isinstance(given.get("mix"), list | tuple):
        given["mix"] = _by_name(given["mix"], f"{kind}.mix")
    if isinstance(given.get("rename"), Mapping):
        given["rename"] = tuple(given["rename"].items())
    for key, value in defaults.items():
        if key in RECIPE and value == RECIPE[key]:
            defaults[key] = placeholder(type(value))
        elif value is None:
            defaults[key] = placeholder(str)
    return _config_dict({**defaults, **given})


def _by_name(given: Sequence[Any], where: str) -> dict[str, Any]:
    """Sources of a mix by short names of their own; equal ones are numbered."""
    named: dict[str, Any] = {}
    for one in given:
        if not isinstance(one, ConfigDict) or "file" not in one:
            raise InputError(f"{where}: {one!r:.60}; give source(...) of each")
        stem = re.sub(r"[\s/\\.]", "_", name_of(str(one.file), tuple(one.splits))) or "texts"
        numbers = itertools.count(2)
        name = stem
        while name in {*named, *OWN}:
            name = f"{stem}_{next(numbers)}"
        named[name] = one.copy_and_resolve_references()
    return named


def _graft(name: str, settings: Any) -> Any:
    """With all keys, so that flags can set them; what is no dict is left to the check."""
    if not isinstance(settings, Mapping):
        return settings
    defaults = keys.Graft.defaults()
    check.check_keys(f"grafts.{name}.", settings, defaults)
    return defaults | _like(defaults, dict(settings))


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
    consistency.check_grafts(resolved)
    resolved.arms.update({n: resolved.arms[graft.arm] for n, graft in resolved.grafts.items()})
    consistency.check_arms(resolved)
    consistency.check_contrasts(resolved)
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
    for key in ("model", "chat_template", "published"):
        config[key] = os.path.expanduser(config[key])
    for graft in config.grafts.values():
        graft.model = os.path.expanduser(graft.model)
    config.development = tuple(map(os.path.expanduser, config.development))
    config.probes = tuple(map(_expanded, config.probes))
    sections = [(config.system_prompts, [*config.system_prompts])]
    for stage in config.stages.values():
        if isinstance(stage.get("mix"), ConfigDict):
            sections += [(source, ["file"]) for source in stage.mix.values()]
        sections.append((stage, ["spec", "other_spec", "file", "mix"]))
    for section, keys_of in sections:
        for key in keys_of:
            if isinstance(section.get(key), str):
                section[key] = os.path.expanduser(section[key])


def _expanded(entry: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(entry, str):
        return os.path.expanduser(entry)
    # Without empty splits: runs from before there were any go on.
    said = {key: value for key, value in entry.items() if key != "splits" or value}
    return said | {key: os.path.expanduser(entry[key]) for key in PROBE_PATHS}


def chain_of(config: Mapping[str, Any], arm: str) -> tuple[list[str], int | None]:
    """The names of an arm's stages, and the update of the last one after which the arm ends; None:
    at its end. config: a resolved one, or as JSON."""
    names = [*config["arms"][arm]]
    if not names:
        return [], None
    last, _, update = names[-1].partition("@")
    return [*names[:-1], last], int(update) if update else None


def graft_of(config: Mapping[str, Any], arm: str | None) -> Mapping[str, Any] | None:
    """What config.grafts says of an arm, None where it is no graft. config: as for `chain_of`; that
    of an older run has no grafts."""
    return config.get("grafts", {}).get(arm)


def scale_of(config: Mapping[str, Any], arm: str | None) -> float:
    """What an arm's adapters are multiplied by when it is asked."""
    graft = graft_of(config, arm)
    return 1.0 if graft is None else graft["scale"]


def used_stages(config: ConfigDict) -> list[str]:
    """The names of the stages that an arm has, in the order of the config's stages."""
    used = {name for arm in config.arms for name in chain_of(config, arm)[0]}
    return [name for name in config.stages if name in used]


def seeds_of(config: Mapping[str, Any], name: str) -> range:
    """The seeds by which a stage is trained."""
    return range(config["seeds"] if config["stages"][name].get("per_seed", True) else 1)


def seed_of(config: Mapping[str, Any], name: str, seed: int) -> int:
    """The seed by which a stage trains in the arms of `seed`: 0 where all share its training."""
    return seed if seed in seeds_of(config, name) else 0


def profiled(config: ConfigDict) -> range:
    """The updates that config.profile names, from 1, the last one included; of "", none."""
    return values.profiled_updates(config.profile)


def probe_entries(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of `probes`, each as `probe_file` returns it."""
    return [probe_file(entry) if isinstance(entry, str) else entry for entry in config["probes"]]


def primary_contrast(config: Mapping[str, Any]) -> dict[str, float]:
    """Arm -> weight of the contrast that decides; empty where a config without probes has none."""
    return config["contrasts"].get(config["primary"], {})


def missing_files(config: ConfigDict, folder: Path, download: bool = True) -> list[str]:
    """Of a resolved config, "key: path does not exist" of each file that a run would miss, and
    "key: path is a folder" where only a file will do.

    download: whether data sets of the hub are fetched; else one that its cache lacks is missing.
    """
    needed = [
        (f"config.stages.{name}.{key}", split_source(source)[0])
        for name in used_stages(config)
        for key, source in sources_of(config.stages[name]).items()
    ]
    for entry in probe_entries(config):
        for key in filter(entry.get, PROBE_PATHS):
            name = "config.probes" if key == "path" else f"config.probes.{key}"
            needed.append((name, entry[key]))
    needed += [("config.development", path) for path in config.development]
    needed += [("config.published", config.published)] if config.published else []
    needed += [
        (f"config.system_prompts.{arm}", file) for arm, file in config.system_prompts.items()
    ]
    wrong = []
    for key, path in dict.fromkeys(needed):
        last = key.rpartition(".")[2]
        if is_data_set(path) and last in FOLDERS:
            wrong += _missing_data_set(key, path, folder, download)
        elif not (folder / path).exists():
            wrong.append(f"{key}: {missing_of_config(folder / path)}")
        elif (folder / path).is_dir() and last not in FOLDERS:
            wrong.append(f"{key}: {folder / path} is a folder; give a file")
    return wrong


def _missing_data_set(key: str, source: str, folder: Path, download: bool) -> list[str]:
    from vcjax.data import places  # imports what a config file need not

    try:
        places.locate(source, folder, download)
    except InputError as error:
        return [f"{key}: {error}"]
    return []


def as_json(config: ConfigDict) -> dict[str, Any]:
    """The config as plain JSON values (tuples become lists)."""
    return json.loads(config.to_json())


def preregistration(config: dict[str, Any]) -> dict[str, Any]:
    """The question that was fixed before the run, of a config as JSON: the primary contrast, its
    arms, the target value and the excluded probes."""
    primary = config["primary"]
    contrast = primary_contrast(config)
    arms = {arm: config["arms"][arm] for arm in contrast}
    grafts = {arm: graft for arm in contrast if (graft := graft_of(config, arm))}
    return {
        "primary": primary,
        "contrast": contrast,
        "arms": arms,
        "toward": config["toward"],
        "probes": config["primary_probes"],
        "exclude": config["exclude"],
        **({"grafts": grafts} if grafts else {}),
    }
