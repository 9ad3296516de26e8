"""What feeds each stage: documents and demonstrations as packed rows, or an adapter.

Rows are made once. What they were made from is noted in the workdir under a key: a hash over the
files, the model with its tokenizer and template, the stage's settings and the code that makes rows.
A start that meets the same key takes the rows that are there.

    rows/<hash>/          packed rows, named by their content
    inputs/<key>.json     what the plan needs to know of the rows that these inputs make
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

import vcjax
from vcjax import config as configs
from vcjax.corpus.stage_records import Records, stage_records
from vcjax.data import examples, folders, licences, rows
from vcjax.data.formats import Demonstration, Document
from vcjax.data.packing import Example, Packed, pack
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.models.transformer import Model
from vcjax.plan import Plan, StageData
from vcjax.probes import overlap
from vcjax.probes.answers import Probes, choices, sha256_of
from vcjax.weights import peft
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import files, hashes, processes

Key = tuple[str, int]  # a stage's name in the config, a seed

# Of a stage's settings those that its records and their packing depend on.
SETTINGS = (
    *("kind", "spec", "other_spec", "file", "mix", "mix_share", "documents", "demonstrations"),
    *("held_out", "linked", "opposite", "thinking", "length", "overlong"),
)
CODE = ("data", "corpus")  # folders of vcjax whose code turns files into rows
PACKAGES = ("tokenizers", "jinja2")  # likewise


@dataclasses.dataclass(frozen=True)
class StageRows:
    """The examples that the rows of one stage and seed are packed of, and their records.

    They are packed when the arrays are needed, since those of all stages may not fit in memory.
    """

    train: list[Example]
    train_records: Records
    held_out: list[Example]
    held_out_records: Records
    length: int
    overlong: str

    def packed(self) -> Iterator[tuple[Packed, Records]]:
        """The rows to train on, then those held out if there are any, with their records."""
        yield pack(self.train, self.length, self.overlong), self.train_records
        if self.held_out:
            yield pack(self.held_out, self.length, self.overlong), self.held_out_records

    def data(self) -> StageData:
        ids, counts = [], []
        for part, _ in self.packed():
            ids.append(rows.content_hash(part)[:16])
            counts.append(part.counts)
        train = counts[0]
        return StageData(
            rows_id=ids[0],
            held_out_id=ids[1] if self.held_out else None,
            rows=int(train["rows"]),
            documents=int(train["documents"]),
            held_out_documents=len(self.held_out_records),
            tokens=int(train["tokens"]),
            weighted_tokens=round(train["weighted_tokens"]),
            split_documents=int(train["split_documents"]),
            most_documents=max(int(part["most_documents"]) for part in counts),
            left_out_tokens=int(train["left_out_tokens"]),
        )


@dataclasses.dataclass
class StageInput:
    """What one stage and seed work on.

    key: hash of all that makes the rows. data: what the plan needs to know of them. licences: path
    in the config -> the licences that records from there state, None for "states none".
    compared_with: hashes of the probes that no record gives away. Only until they are written:
    records, and the rows that are packed of them.
    """

    key: str
    data: StageData | None = None
    licences: dict[str, list[str | None]] = dataclasses.field(default_factory=dict)
    compared_with: list[str] = dataclasses.field(default_factory=list)
    records: tuple[Records, Records] | None = None
    rows: StageRows | None = None

    def as_json(self) -> dict[str, Any]:
        assert self.data is not None
        data = dataclasses.asdict(self.data)
        return {"data": data, "licences": self.licences, "compared_with": self.compared_with}

    @classmethod
    def from_json(cls, key: str, entry: dict[str, Any]) -> "StageInput":
        data = StageData(**entry["data"])
        return cls(key, data, entry["licences"], entry["compared_with"])


def prepare(
    config: ConfigDict, base: Pretrained, folder: Path, workdir: epath.Path, probes: Probes
) -> dict[Key, StageInput]:
    """The inputs of every stage that an arm trains, nothing of which is written yet.

    folder: where the config's paths start. The first process reads, compares with the probes and
    packs; the others hear what the plan needs. Raises InputError for what cannot be used.
    """
    names = [name for name in configs.used_stages(config) if config.stages[name].kind != "adapter"]
    for name in names:
        _check_length(config, name, base)
    inputs: dict[Key, StageInput] = {}

    def on_first() -> list[tuple[str, int, str, dict[str, Any]]]:
        for name in names:
            for seed in range(config.seeds):
                key = input_key(config, name, seed, base, folder)
                inputs[name, seed] = _read_back(workdir, key)
        _read_records(inputs, config, folder)
        _compare(inputs, probes, workdir)
        for name in names:
            of_stage = {seed: inputs[name, seed] for seed in range(config.seeds)}
            _make_rows(of_stage, config.stages[name], base.tokenizer, folder)
        return [(*stage, made.key, made.as_json()) for stage, made in inputs.items()]

    heard = processes.on_first(on_first)
    return inputs or {
        (name, seed): StageInput.from_json(key, entry) for name, seed, key, entry in heard
    }


def write(inputs: dict[Key, StageInput], workdir: epath.Path) -> None:
    """Writes the rows that the workdir lacks, one stage after the other, and forgets them."""
    for made in inputs.values():
        assert made.data is not None
        if made.rows is not None:
            ids = [made.data.rows_id, made.data.held_out_id]
            if not all(_exist(workdir, rows_id) for rows_id in ids):
                for rows_id, (packed, records) in zip(ids, made.rows.packed(), strict=False):
                    if not _exist(workdir, rows_id):
                        rows.write_rows(workdir / "rows" / str(rows_id), packed, records)
            made.rows = None
        path = _entry(workdir, made.key)
        if files.read_json(path) != made.as_json():
            files.write_json(path, made.as_json())


def input_key(config: ConfigDict, name: str, seed: int, base: Pretrained, folder: Path) -> str:
    """A hash over all that decides the rows of a stage and seed."""
    stage = config.stages[name]
    sources = {key: folder / stage[key] for key in configs.SOURCES if stage.get(key)}
    decides = {
        "settings": {key: stage.get(key) for key in SETTINGS},
        "names": [config.names.to_dict(), config.other_names.to_dict()],
        "sources": {
            key: hashes.sha256_of_folder(path) if path.is_dir() else hashes.sha256(path)
            for key, path in sources.items()
        },
        "seed": seed,
        "model": base.identity,
        "code": _code_hash(),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]


@functools.cache
def _code_hash() -> str:
    package = Path(vcjax.__file__).parent
    parts = [hashes.sha256(Path(__file__))]
    parts += [hashes.sha256_of_folder(package / name) for name in CODE]
    parts += [importlib.metadata.version(name) for name in PACKAGES]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _check_length(config: ConfigDict, name: str, base: Pretrained) -> None:
    length, context = config.stages[name].length, base.architecture.context_length
    if length > context:
        raise InputError(
            f"config.stages.{name}.length: {length} is longer than the model's context of "
            f"{context} tokens"
        )


def _entry(workdir: epath.Path, key: str) -> epath.Path:
    return workdir / "inputs" / f"{key}.json"


def _exist(workdir: epath.Path, rows_id: str | None) -> bool:
    return rows_id is None or rows.exist(workdir / "rows" / rows_id)


def _read_back(workdir: epath.Path, key: str) -> StageInput:
    """What an earlier start made of these inputs; one without data where that is not there."""
    entry = files.read_json(_entry(workdir, key))
    if entry is None:
        return StageInput(key)
    made = StageInput.from_json(key, entry)
    assert made.data is not None
    whole = _exist(workdir, made.data.rows_id) and _exist(workdir, made.data.held_out_id)
    return made if whole else StageInput(key)


def _read_records(inputs: dict[Key, StageInput], config: ConfigDict, folder: Path) -> None:
    """The records of what is yet to be made; a file is read once for all seeds and stages."""
    read = functools.cache(lambda reader, path: reader(path))
    for (name, seed), made in inputs.items():
        if made.data is None:
            made.records = stage_records(config.stages[name], seed, config, folder, read)


def _compare(inputs: dict[Key, StageInput], probes: Probes, workdir: epath.Path) -> None:
    """Raises InputError where a record that is trained on gives a probe away."""
    probes_hash = hashlib.sha256(
        json.dumps([sha256_of(probes), hashes.sha256(Path(overlap.__file__))]).encode()
    ).hexdigest()
    records: dict[int, Document | Demonstration] = {}  # those of a file are compared once
    for made in inputs.values():
        if probes_hash in made.compared_with:
            continue
        made.compared_with = [*made.compared_with, probes_hash]
        if made.records is not None:
            train: Records = made.records[0]
        else:
            assert made.data is not None
            train = rows.read_records(workdir / "rows" / made.data.rows_id)
        records |= {id(record): record for record in train}
    overlap.check(choices(probes), list(records.values()))


def _make_rows(
    of_stage: dict[int, StageInput], stage: ConfigDict, tokenizer: Tokenizer, folder: Path
) -> None:
    """Encodes and packs the records of a stage, by seed; a record that seeds share once."""
    encode = examples.encoder(tokenizer, stage.get("thinking", False))
    for made in of_stage.values():
        if made.records is None:
            continue
        train, held_out = made.records
        made.rows = StageRows(
            encode(train), train, encode(held_out), held_out, stage.length, stage.overlong
        )
        made.data = made.rows.data()
        paths = [stage[key] for key in configs.SOURCES if stage.get(key)]
        made.licences = {path: licences.stated(folder / path, train) for path in paths}
        made.records = None


def stated_licences(
    config: ConfigDict, inputs: dict[Key, StageInput], folder: Path
) -> dict[str, str]:
    """Path in the config -> the licences of all texts from there, adapters' too."""
    stated: dict[str, set[str | None]] = {}
    for made in inputs.values():
        for path, found in made.licences.items():
            stated.setdefault(path, set()).update(found)
    for name in configs.used_stages(config):
        if config.stages[name].kind == "adapter":
            stated.setdefault(config.stages[name].file, set())
    return {path: licences.listed(folder / path, stated[path]) for path in sorted(stated)}


def read_records(workdir: epath.Path, plan: Plan) -> list[Document | Demonstration]:
    """All that the stages of a plan trained on, from their rows."""
    stages = plan.stages.values()
    folders = {stage.data.rows_id for stage in stages if stage.kind != "adapter"}
    return [r for name in sorted(folders) for r in rows.read_records(workdir / "rows" / name)]


def adapters(config: ConfigDict, base: Pretrained, folder: Path) -> dict[Key, StageData]:
    """The adapter that a stage takes over, in place of rows.

    It is read once here, so that one that does not fit is refused before anything is written.
    """
    data: dict[Key, StageData] = {}
    for name in configs.used_stages(config):
        stage = config.stages[name]
        if stage.kind == "adapter":
            source, lora = folder / stage.file, LoRA(stage.rank, stage.alpha)
            model = Model(base.architecture, lora, config.compute_dtype, config.remat)
            zeros = jax.tree.map(lambda x: np.zeros(x.shape), transformer.trained_shapes(model))
            peft.read_adapter(source, model, zeros)
            identity = peft.identity(source)[:16]
            data |= {(name, seed): StageData.nothing(identity) for seed in range(config.seeds)}
    return data


def warnings(config: ConfigDict, folder: Path) -> list[str]:
    """What a person should know of the stages' data before the training starts, one line each."""
    lines = []
    for name in configs.used_stages(config):
        stage = config.stages[name]
        if stage.kind == "adapter":
            base = peft.other_base(folder / stage.file, config.model)
            if base is not None:
                lines.append(
                    f"stage {name}: {stage.file} was trained on {base}, the experiment's model "
                    f"is {config.model}; only on its own base does it do what it was trained to"
                )
            continue
        for path in filter(None, (stage.file, stage.get("mix"))):
            if names := folders.left_out(folder / path):
                lines.append(f"stage {name}: {path}: not read: {', '.join(names)}")
    return lines
