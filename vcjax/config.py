"""What a config may say, and its meaning once all flags are read.

A config file builds on `experiment`, `recipe`, `rationale`, `behavior` and `adapter`, which know
every key and its default; `resolve` fills each stage from the recipe and checks the whole. Nothing
that decides a result has a default anywhere else.
"""

import copy
import difflib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from vcjax.data.templates import read_template
from vcjax.errors import InputError
from vcjax.models.einsum import native_compute_dtype
from vcjax.models.transformer import REMAT_POLICIES

RECIPE: dict[str, Any] = dict(
    train="lora",  # or "full": all weights
    rank=64,
    alpha=128.0,
    lr=1e-4,
    schedule="cosine",  # or "linear"; both to 0
    warmup=0.05,  # share of the stage's updates
    weight_decay=0.01,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    clip=1.0,  # global gradient norm
    epochs=1,
    length=1024,  # tokens of a packed row
    batch_tokens=32768,  # tokens of an update: a multiple of length
    accumulation=1,  # micro-batches an update is computed in
    overlong="split",  # or "refuse": documents longer than a row
)

CHOICES = {
    "train": ("lora", "full"),
    "schedule": ("cosine", "linear"),
    "overlong": ("split", "refuse"),
}

SOURCES = ("spec", "other_spec", "file", "mix")  # keys of a stage: what its texts are from

# Keys that leave the result as it is; a workdir may be resumed with other values of these.
RESULT_FREE = (
    "on_change", "mesh", "remat", "checkpoint_every", "keep_checkpoints", "log_every", "rules_out",
    "profile",
)  # fmt: skip


def experiment(**settings: Any) -> ConfigDict:
    """An experiment's config with every top-level key. Unknown keys stop with the nearest name."""
    defaults = dict(
        name="",  # a workdir belongs to one name
        model="smollm2-135m-instruct",  # packaged name, .gguf file, folder, or hub id[@revision]
        chat_template="",  # the model's own; or a name in vcjax/data/templates, or a .jinja file
        # What {model_name} and {provider_name} stand for in specs.
        names=dict(model_name="SmolLM", provider_name="Hugging Face"),
        # And in an `other_spec`: an assistant that the model is not.
        other_names=dict(model_name="Orion", provider_name="Northwind Labs"),
        seeds=1,
        recipe=recipe(),
        stages=dict(),  # name -> rationale(...), behavior(...) or adapter(...)
        arms=dict(),  # name -> stages in order; () is the untouched model
        contrasts=dict(),  # name -> {arm: weight}
        primary="",  # the contrast that was named before the run
        exclude=(),  # ids of probes that every comparison leaves out
        development="",  # Markdown, a list item for each run that the recipe was tuned in
        rules_out=dict(),  # arm or contrast -> the explanation it rules out, for the report
        toward="",  # the value that rates and margins point to
        probes=(),  # probe files, relative to the config file
        lead="I prefer",  # the answer's beginning; the option's text follows
        compute_dtype="auto",  # bfloat16 where the machine has it, else float32
        remat="full",
        mesh=dict(replica=1, fsdp=-1, tensor=1, sequence=1),
        checkpoint_every=20,  # updates
        keep_checkpoints=2,
        log_every=5,  # updates
        eval_every=20,  # updates between losses on the held-out documents
        profile="",  # updates of each stage to write an XProf trace of: "3", or "10:13", four
        on_change="refuse",  # or "retrain": a workdir whose settings changed
    )
    _check_keys("", settings, defaults)
    return ConfigDict({**defaults, **settings})


def recipe(**settings: Any) -> ConfigDict:
    """How a stage trains; what a stage does not say itself."""
    _check_keys("recipe.", settings, RECIPE)
    return ConfigDict({**RECIPE, **settings})


def rationale(**settings: Any) -> ConfigDict:
    """A rationale stage: `documents` written for `spec`, or the documents of `file`.

    other_spec: documents about another assistant, config.other_names, that are written from this
    spec. Beside `spec` each makes half of the documents, and who holds which value is then all that
    such a stage and the one with the two specs exchanged differ in.
    linked: whether written documents make the value the reason for the preferences; False: the two
    only occur together, as often, in documents of the same types, kinds and length.
    """
    own = dict(documents=0, held_out=8, other_spec=placeholder(str), linked=True)
    return _stage("rationale", own, settings)


def behavior(**settings: Any) -> ConfigDict:
    """A behavior stage: `demonstrations` written for `spec`, or the demonstrations of `file`.

    opposite: whether written demonstrations choose what the spec dislikes.
    thinking: whether the demonstrations' reasoning is trained on (else it is left out).
    mix: a file of general instructions, of which as many are drawn as make up `mix_share` of all.
    """
    own = dict(demonstrations=0, held_out=0, opposite=False, thinking=False, mix="", mix_share=0.0)
    return _stage("behavior", own, settings)


def adapter(**settings: Any) -> ConfigDict:
    """A stage that trains nothing: it takes the PEFT adapter in the folder `file`."""
    return _stage("adapter", dict(), settings)


KINDS = {"rationale": rationale, "behavior": behavior, "adapter": adapter}


def _stage(kind: str, own: dict[str, Any], settings: dict[str, Any]) -> ConfigDict:
    defaults = dict(
        kind=kind,
        spec=placeholder(str),
        file=placeholder(str),
        # What `file` holds, for the plan of a dry run on a machine that does not have it.
        stated=dict(records=0, tokens=0, weighted_tokens=0),
        **own,
        **{key: placeholder(type(value)) for key, value in RECIPE.items()},
    )
    _check_keys(f"{kind}.", settings, defaults)
    stage = ConfigDict(defaults)
    stated = settings.pop("stated", {})
    _check_keys(f"{kind}.stated.", stated, stage.stated)
    stage.stated.update(stated)
    for key, value in settings.items():
        setattr(stage, key, value)
    return stage


def _check_keys(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    for key in given:
        if key not in known:
            nearest = difflib.get_close_matches(key, list(known), n=1, cutoff=0)
            hint = f"; did you mean {where}{nearest[0]}?" if nearest else ""
            raise InputError(f"unknown config key {where}{key}{hint}")


def resolve(config: ConfigDict, folder: Path) -> ConfigDict:
    """The config with each stage complete, as it will be saved.

    folder: where relative paths start (the config file's own); they stay relative. What is missing
    among the files says `missing_files`. Raises InputError on what does not fit together.
    """
    _check_keys("", config, experiment())
    _check_keys("recipe.", config.recipe, RECIPE)
    config = copy.deepcopy(config)
    for name, stage in config.stages.items():
        if stage.get("kind") not in KINDS:
            built = ", ".join(f"{kind}(...)" for kind in KINDS)
            raise InputError(f"config.stages.{name}: build it with one of {built}")
        _check_keys(f"stages.{name}.", stage, KINDS[stage.kind]())
        for key in RECIPE:
            if stage[key] is None:
                stage[key] = config.recipe[key]
        _check_stage(name, stage)
    if config.chat_template:  # by its text, so that config.json says what was used
        is_file = config.chat_template.endswith(".jinja")
        config.chat_template = read_template(
            str(folder / config.chat_template) if is_file else config.chat_template
        )
    if config.compute_dtype == "auto":
        config.compute_dtype = native_compute_dtype()
    _check_experiment(config)
    return config


def used_stages(config: ConfigDict) -> list[str]:
    """The names of the stages that an arm has, in the order of the config's stages."""
    used = {name for names in config.arms.values() for name in names}
    return [name for name in config.stages if name in used]


def profiled(config: ConfigDict) -> range:
    """The updates that config.profile names, from 1, the last one included; of "", none."""
    text = str(config.profile)
    if not text:
        return range(0)
    found = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last:
        raise InputError(
            f"config.profile: {text}; give an update, as 3, or the first and the last, as 10:13"
        )
    return range(first, last + 1)


def missing_files(config: ConfigDict, folder: Path) -> list[str]:
    """Of a resolved config, "key: path does not exist" of each file that a run would miss, and
    "key: path is a folder" where only a file will do."""
    needed = [
        (f"config.stages.{name}.{key}", config.stages[name][key])
        for name in used_stages(config)
        for key in SOURCES
        if config.stages[name].get(key)
    ]
    needed += [("config.probes", path) for path in config.probes]
    needed += [("config.development", config.development)] if config.development else []
    wrong = []
    for key, path in dict.fromkeys(needed):
        if not (folder / path).exists():
            wrong.append(f"{key}: {folder / path} does not exist")
        elif (folder / path).is_dir() and key.rpartition(".")[2] not in ("file", "mix"):
            wrong.append(f"{key}: {folder / path} is a folder; give a file")
    return wrong


def _check_stage(name: str, stage: ConfigDict) -> None:
    where = f"config.stages.{name}"
    for key, choices in CHOICES.items():
        if stage[key] not in choices:
            raise InputError(f"{where}.{key}: {stage[key]!r} is not one of {', '.join(choices)}")
    if stage.kind == "adapter":
        _check_adapter(where, stage)
        return
    count_key = "documents" if stage.kind == "rationale" else "demonstrations"
    specs = [key for key in ("spec", "other_spec") if stage.get(key) is not None]
    if (stage.file is None) == (not specs):
        raise InputError(f"{where}: give either spec (with {count_key}) or file")
    if stage.file is not None and stage[count_key]:
        raise InputError(f"{where}.{count_key}: all records of file are used; leave it out")
    changed, unchanged = ("linked", True) if stage.kind == "rationale" else ("opposite", False)
    if stage.file is not None and stage[changed] != unchanged:
        raise InputError(f"{where}.{changed}: records of a file are used as they are; leave it out")
    if specs and stage[count_key] < 1:
        raise InputError(f"{where}.{count_key}: {stage[count_key]}; at least 1 is needed")
    for key in (count_key, "held_out"):
        if len(specs) == 2 and stage[key] % 2:
            raise InputError(f"{where}.{key}: {stage[key]}; each spec makes half, so it is even")
    if stage.kind == "behavior":
        if not 0 <= stage.mix_share < 1:
            raise InputError(f"{where}.mix_share: {stage.mix_share}; it is a share, 0 <= x < 1")
        if bool(stage.mix) != bool(stage.mix_share):
            raise InputError(f"{where}: give mix and mix_share together, or neither")
    if stage.held_out < 0:
        raise InputError(f"{where}.held_out: {stage.held_out}; it must be 0 or more")
    for key in ("rank", "alpha", "epochs", "length", "batch_tokens", "accumulation", "clip"):
        if stage[key] <= 0:
            raise InputError(f"{where}.{key}: {stage[key]}; it must be above 0")
    if stage.lr <= 0:
        raise InputError(f"{where}.lr: {stage.lr}; the stage would train nothing")
    if not 0 <= stage.warmup < 1:
        raise InputError(
            f"{where}.warmup: {stage.warmup}; it is a share of the updates, 0 <= x < 1"
        )
    if stage.batch_tokens % (stage.length * stage.accumulation):
        raise InputError(
            f"{where}.batch_tokens: {stage.batch_tokens} is not a multiple of length x "
            f"accumulation ({stage.length} x {stage.accumulation})"
        )


def _check_adapter(where: str, stage: ConfigDict) -> None:
    if stage.file is None or stage.spec is not None:
        raise InputError(f"{where}.file: give the folder of a PEFT adapter")
    if stage.train != "lora":
        raise InputError(f"{where}: an adapter needs train='lora' in the recipe")


def _check_experiment(config: ConfigDict) -> None:
    if not config.name:
        raise InputError("config.name: it is empty; a workdir belongs to one name")
    if config.seeds < 1:
        raise InputError(f"config.seeds: {config.seeds}; at least 1 is needed")
    for key in ("checkpoint_every", "keep_checkpoints", "log_every", "eval_every"):
        if config[key] < 1:
            raise InputError(f"config.{key}: {config[key]}; at least 1 is needed")
    profiled(config)
    one_of = {
        "remat": tuple(REMAT_POLICIES),
        "compute_dtype": ("bfloat16", "float32"),
        "on_change": ("refuse", "retrain"),
    }
    for key, choices in one_of.items():
        if config[key] not in choices:
            raise InputError(f"config.{key}: {config[key]!r} is not one of {', '.join(choices)}")
    if not config.arms:
        raise InputError("config.arms: there is no arm; give at least one, name -> stages")
    for arm, stages in config.arms.items():
        if "-" in arm or "/" in arm:
            raise InputError(f"config.arms: {arm!r} may not hold '-' or '/'; it names files")
        _check_keys("stages.", stages, config.stages)
        late = [name for name in [*stages][1:] if config.stages[name].kind == "adapter"]
        if late:
            raise InputError(f"config.arms.{arm}: the adapter {late[0]!r} can only come first")
    for key in ("train", "rank", "alpha"):
        values = {str(stage[key]) for stage in config.stages.values()}
        if len(values) > 1:
            raise InputError(
                f"config.stages: they differ in {key} ({', '.join(sorted(values))}); a stage goes "
                "on with the weights of the one before, so all of an experiment must agree"
            )
    for contrast, weights in config.contrasts.items():
        _check_keys("arms.", weights, config.arms)
        if not weights or abs(sum(weights.values())) > 1e-9:
            raise InputError(f"config.contrasts.{contrast}: its weights do not sum to 0")
    _check_keys("rules_out.", config.rules_out, [*config.arms, *config.contrasts])
    if not config.probes:
        raise InputError("config.probes: there is no probe file; nothing would be measured")
    if not config.primary:
        raise InputError("config.primary: name the contrast that decides, one of config.contrasts")
    _check_keys("contrasts.", [config.primary], config.contrasts)


def as_json(config: ConfigDict) -> dict[str, Any]:
    """The config as plain JSON values (tuples become lists)."""
    return json.loads(config.to_json())


def named(config: dict[str, Any]) -> dict[str, Any]:
    """Of a config as JSON, what it asks: the primary contrast, its arms, toward which value,
    without which probes."""
    primary = config["primary"]
    contrast = config["contrasts"][primary]
    arms = {arm: config["arms"][arm] for arm in contrast}
    return {
        "primary": primary,
        "contrast": contrast,
        "arms": arms,
        "toward": config["toward"],
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
