"""What feeds each stage: documents and demonstrations as packed rows, or an adapter.

Rows are made once. Their source is noted in the workdir under a key: a hash of the files, the model
with its tokenizer and template, the stage's settings and the code that makes rows. A later start
with the same key uses the rows that are there.

    rows/<hash>/          packed rows, named by their content
    inputs/<key>.json     what the plan needs to know of the rows that these inputs give
"""

import contextlib
import dataclasses
import functools
import gzip
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, cast

import pydantic
from etils import epath
from ml_collections import ConfigDict

from vcjax import config as configs
from vcjax.corpus import mixture, renaming, stage_texts
from vcjax.corpus.row_keys import row_key
from vcjax.corpus.stage_data import StageData
from vcjax.corpus.stage_records import Drawn, Records, stage_records
from vcjax.data import examples, folders, formats, licences, places, rows, source_counts
from vcjax.data.formats import Demonstration, Document, Texts
from vcjax.data.packing import Example, Packed, pack
from vcjax.data.sources import sources_of, split_source
from vcjax.errors import InputError, Lacking
from vcjax.models.transformer import Model
from vcjax.plan import Plan
from vcjax.probes import overlap, words, world_probes
from vcjax.probes.overlap import Hit
from vcjax.probes.probe_files import Probes, questions, sha256_of
from vcjax.training.progress import Progress
from vcjax.weights import peft
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import disk, files, hashes, processes, storage

Key = tuple[str, int]  # a stage's name in the config, a seed

_STAGE_DATA = pydantic.TypeAdapter(StageData)


@dataclasses.dataclass
class StageInput:
    """The input of one stage and seed."""

    key: str  # what `row_key` returns
    data: StageData
    licences: dict[str, list[str | None]]  # path in the config -> licences that its records state
    compared_with: dict[str, list[Hit]]  # `_comparison` -> the probes that its records give away
    texts: dict[str, Any]  # what `stage_texts.note` returns
    new_rows: tuple[IO[bytes], int] | None = None  # until `write`: a file, and where they begin

    def as_json(self) -> dict[str, Any]:
        """The content of inputs/<key>.json."""
        fields = ("licences", "compared_with", "texts")
        return {"data": dataclasses.asdict(self.data)} | {key: getattr(self, key) for key in fields}

    @classmethod
    def from_json(cls, key: str, content: dict[str, Any]) -> "StageInput":
        data = _STAGE_DATA.validate_python(content["data"])
        compared = content["compared_with"].items()
        hits = {comparison: [Hit(*hit) for hit in of_one] for comparison, of_one in compared}
        return cls(key, data, content["licences"], hits, content["texts"])


def prepare(
    config: ConfigDict, base: Pretrained, folder: Path, workdir: epath.Path, probes: Probes
) -> dict[Key, StageInput]:
    """The input of every stage that an arm trains; writes nothing to the workdir.

    folder: where the config's relative paths start. The first process does the work and the others
    receive what the plan needs. Raises InputError for files that cannot be used, and, with
    config.overlap="refuse", for a record that gives a probe away.
    """
    names = [name for name in configs.used_stages(config) if config.stages[name].kind != "adapter"]
    asked = [probe for probe in questions(probes, "choice") if probe.id not in config.exclude]
    for name in names:
        _check_length(config, name, base)
        _check_adapted(config, name, base)
        with _naming(name):
            world_probes.check_stage(asked, config.stages[name], name, folder)
    inputs: dict[Key, StageInput] = {}

    def on_first() -> list[tuple[str, int, str, dict[str, Any]]]:
        inputs.update(_prepare(config, names, base, folder, workdir, probes))
        return [(*stage, one.key, one.as_json()) for stage, one in inputs.items()]

    received = processes.on_first(on_first)
    return inputs or {
        (name, seed): StageInput.from_json(key, content) for name, seed, key, content in received
    }


def _prepare(
    config: ConfigDict,
    names: list[str],
    base: Pretrained,
    folder: Path,
    workdir: epath.Path,
    probes: Probes,
) -> dict[Key, StageInput]:
    stages = [(name, seed) for name in names for seed in configs.seeds_of(config, name)]
    keys = {(n, seed): row_key(config, n, seed, base.identity, folder) for n, seed in stages}
    saved = {stage: _saved(workdir, key) for stage, key in keys.items()}

    # Read once for all seeds: then a record of a file is compared and encoded once, too.
    read = functools.cache(formats.read_texts)
    rename = renaming.renamer()
    encoders = {
        name: examples.encoder(base.tokenizer, config.stages[name].get("thinking", False))
        for name in names
    }

    def encoded(name: str, record: Document | Demonstration) -> list[Example]:
        return encoders[name](rename([record], config.stages[name].rename))

    @functools.cache
    def usable(name: str, path: Path, *how: Any) -> Texts:
        def with_tokens(record: Document | Demonstration) -> Document | Demonstration:
            encoded(name, record)  # a chat template may refuse it
            return record

        texts = read(path, *how)
        if config.stages[name].broken == "refuse":
            return texts
        found = formats.accepted(texts.records, with_tokens, path)
        return found._replace(broken=[*texts.broken, *found.broken])

    def records(name: str, seed: int) -> Drawn:
        stage, read_usable = config.stages[name], functools.partial(usable, name)

        def count(record: Document | Demonstration) -> int:
            return examples.trained_tokens(encoded(name, record))

        with _naming(name):
            drawn = stage_records(stage, seed, config, folder, count, read_usable)
        train, held_out = (rename(part, stage.rename) for part in (drawn.train, drawn.held_out))
        return drawn._replace(train=train, held_out=held_out)

    # A pretraining may name what probes ask about, and its records are many.
    compared = [(n, seed) for n, seed in stages if config.stages[n].kind != "pretrain"]
    new = {stage: records(*stage) for stage in compared if saved[stage] is None}
    comparison = _comparison(config, probes)
    not_compared = {
        stage: rows.read_records(workdir / "rows" / stage_input.data.rows_id)
        for stage in compared
        if (stage_input := saved[stage]) is not None and comparison not in stage_input.compared_with
    }
    parts = {stage: drawn.train for stage, drawn in new.items()} | not_compared
    find = overlap.finder(questions(probes), config.exclude)
    hits = overlap.of_parts(find, parts)
    if config.overlap == "refuse":
        before = [one.compared_with.get(comparison, []) for one in saved.values() if one]
        overlap.refuse(hit for of_one in [*before, *hits.values()] for hit in of_one)
    del parts, not_compared  # packing needs the memory

    # New rows of all stages may not fit into memory. They wait on the workdir's disk, in a file
    # without a name: it is gone with this process, however that ends.
    place = storage.disk_of(workdir)
    with disk.writing(place):
        waiting = tempfile.TemporaryFile(dir=place, prefix=".vcjax-")  # noqa: SIM115 (until `write`)
    inputs = {}
    missing = [*saved.values()].count(None)
    with contextlib.closing(Progress("rows", missing, 0, unit="stage")) as progress:
        for name in names:
            stage = config.stages[name]
            note = functools.partial(stage_texts.note, config, stage, folder, base.tokenizer)
            for seed in configs.seeds_of(config, name):
                stage_input = saved[name, seed]
                if stage_input is None:
                    drawn = new.pop((name, seed), None) or records(name, seed)
                    with disk.writing(place):
                        stage_input = _new_input(
                            keys[name, seed], stage, drawn, encoders[name], note, folder, waiting
                        )
                    progress.update({})
                stage_input.compared_with.setdefault(comparison, hits.get((name, seed), []))
                inputs[name, seed] = stage_input
            del encoders[name]  # with what it keeps for the other seeds
    return inputs


def _new_input(
    key: str,
    stage: ConfigDict,
    drawn: Drawn,
    encode: examples.Encode,
    note: Callable[[Records, Sequence[str], Packed], dict[str, Any]],
    folder: Path,
    waiting: IO[bytes],
) -> StageInput:
    """Packs the rows and adds them to `waiting`: to train on, then those that are held out."""
    begin, counts = waiting.tell(), []
    ids: list[str] = []
    order = stage.get("order", ())
    parts = [drawn.sources.count(name) for name in order]  # their records
    named = mixture.named(stage)
    sources = {name: (given, places.revision(given)) for name, given in named.items()}
    of_sources, texts = {}, {}
    with _compressed(waiting, "wb") as file:
        for records in filter(None, (drawn.train, drawn.held_out)):
            is_train = not ids
            packed = pack(encode(records), stage.length, stage.overlong, parts if is_train else ())
            ids.append(rows.content_hash(packed)[:16])
            counts.append(packed.counts)
            rows.save(file, packed, records)
            if is_train:
                of_sources = source_counts.count(packed, drawn.sources, sources, drawn.broken)
                texts = note(records, drawn.sources, packed)
    waiting.flush()
    data = StageData(
        rows_id=ids[0],
        held_out_id=ids[1] if drawn.held_out else None,
        rows=int(counts[0]["rows"]),
        documents=int(counts[0]["documents"]),
        held_out_documents=len(drawn.held_out),
        tokens=int(counts[0]["tokens"]),
        weighted_tokens=round(counts[0]["weighted_tokens"]),
        split_documents=int(counts[0]["split_documents"]),
        most_documents=max(int(part["most_documents"]) for part in counts),
        left_out_tokens=int(counts[0]["left_out_tokens"]),
        sources=of_sources,
        parts=tuple(of_sources[name].rows for name in order),
    )
    given = {split_source(source)[0] for source in sources_of(stage).values()}
    stated = {path: licences.stated(places.locate(path, folder), drawn.train) for path in given}
    return StageInput(key, data, stated, {}, texts, (waiting, begin))


def _comparison(config: ConfigDict, probes: Probes) -> str:
    """A hash of the probes that are looked for, and of the code that does so in records."""
    code = [hashes.sha256(Path(str(module.__file__))) for module in (overlap, words)]
    parts = [sha256_of(probes), sorted(config.exclude), *code]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def given_away(
    config: ConfigDict, probes: Probes, inputs: dict[Key, StageInput]
) -> dict[str, list[Hit]]:
    """Stage -> the probes that its records give away; see `of_stages`."""
    comparison = _comparison(config, probes)
    return of_stages({key: one.compared_with.get(comparison, []) for key, one in inputs.items()})


def of_stages(hits: Mapping[Key, list[Hit]]) -> dict[str, list[Hit]]:
    """The hits of each stage that has any, at the seed at which they are most."""
    found: dict[str, list[Hit]] = {}
    for (name, _), of_one in hits.items():
        found[name] = max(found.get(name, []), of_one, key=len)
    return {name: of_stage for name, of_stage in found.items() if of_stage}


def write(inputs: dict[Key, StageInput], workdir: epath.Path) -> None:
    """Writes the rows that the workdir lacks, and what is known of them."""
    with contextlib.ExitStack() as opened:
        for one in inputs.values():
            if one.new_rows is not None:
                waiting, begin = one.new_rows
                opened.callback(waiting.close)
                waiting.seek(begin)
                _write_rows(one.data, waiting, workdir)
                one.new_rows = None
            files.write_json(_path(workdir, one.key), one.as_json())


def _write_rows(data: StageData, waiting: IO[bytes], workdir: epath.Path) -> None:
    """waiting: as `_new_input` left it, at the rows of this stage."""
    with _compressed(waiting, "rb") as file:
        for rows_id in filter(None, (data.rows_id, data.held_out_id)):
            packed, records = rows.load(file)
            if not rows.exist(workdir / "rows" / rows_id):
                rows.write_rows(workdir / "rows" / rows_id, packed, records)


def _compressed(file: IO[bytes], mode: Literal["rb", "wb"]) -> IO[bytes]:
    """Packed rows shrink to a seventh."""
    return cast(IO[bytes], gzip.open(file, mode, compresslevel=1))


def _check_adapted(config: ConfigDict, name: str, base: Pretrained) -> None:
    if config.stages[name].lora_experts and base.architecture.experts is None:
        raise InputError(
            f"config.stages.{name}.lora_experts: the model has no experts; leave it out (all of "
            "its seven projections have adapters)"
        )


def _check_length(config: ConfigDict, name: str, base: Pretrained) -> None:
    length, context = config.stages[name].length, base.architecture.context_length
    if length > context:
        raise InputError(
            f"config.stages.{name}.length: {length} is longer than the model's context of "
            f"{context} tokens"
        )


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Says which stage it is that asks for what a source lacks."""
    try:
        yield
    except Lacking as error:
        raise InputError(f"config.stages.{name}: {error}") from None


def _path(workdir: epath.Path, key: str) -> epath.Path:
    return workdir / "inputs" / f"{key}.json"


def _saved(workdir: epath.Path, key: str) -> StageInput | None:
    """The input that an earlier start saved, None where there is none or it is not whole."""
    try:
        saved = StageInput.from_json(key, files.read_json(_path(workdir, key)))
    except (InputError, AttributeError, KeyError, TypeError, ValueError):  # it can be made again
        return None
    ids = filter(None, (saved.data.rows_id, saved.data.held_out_id))
    whole = all(rows.exist(workdir / "rows" / rows_id) for rows_id in ids)
    return saved if whole else None


def stated_licences(
    config: ConfigDict, inputs: dict[Key, StageInput], folder: Path
) -> dict[str, str]:
    """Path in the config -> the licences of all texts from there; adapters' too."""
    stated: dict[str, set[str | None]] = {}
    for one in inputs.values():
        for path, names in one.licences.items():
            stated.setdefault(path, set()).update(names)
    for name in configs.used_stages(config):
        if config.stages[name].kind == "adapter":
            stated.setdefault(config.stages[name].file, set())
    return {
        path: licences.listed(places.locate(path, folder), stated[path]) for path in sorted(stated)
    }


def read_records(workdir: epath.Path, plan: Plan) -> dict[Key, list[Document | Demonstration]]:
    """What each stage and seed of a plan trained on after a pretraining, from its rows."""
    read = functools.cache(rows.read_records)  # stages of one name have the same rows
    return {
        (stage.name, stage.seed): read(workdir / "rows" / stage.data.rows_id)
        for stage in plan.stages.values()
        if stage.kind not in ("adapter", "pretrain")
    }


def adapters(config: ConfigDict, base: Pretrained, folder: Path) -> dict[Key, StageData]:
    """The adapters that stages take over, in place of rows.

    They are read here to refuse one that does not fit before anything is written.
    """
    data: dict[Key, StageData] = {}
    for name in configs.used_stages(config):
        stage = config.stages[name]
        if stage.kind == "adapter":
            source = folder / stage.file
            lora = dataclasses.replace(peft.lora_of(source), experts=stage.lora_experts)
            peft.read_adapter(
                source, Model(base.architecture, lora, config.compute_dtype, config.remat)
            )
            one = StageData.for_adapter(peft.identity(source)[:16], lora)
            data |= {(name, seed): one for seed in range(config.seeds)}
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
        for source, splits in mixture.files(stage):
            names = [] if splits else folders.left_out(places.locate(source, folder))
            if names:
                lines.append(f"stage {name}: {source}: not read: {', '.join(names)}")
    return lines
