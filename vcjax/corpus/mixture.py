"""Texts from several sources in one stage: which of each, and how many.

The seed decides one order of a source's records, and whatever is asked for is the beginning of it:
1,250 records are among the 2,500. What a source does not have is refused, never made up for.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ml_collections import ConfigDict

from vcjax.data import formats, places
from vcjax.data.examples import Records
from vcjax.data.formats import Demonstration, Document, Texts
from vcjax.data.sources import sources_of, splits_of
from vcjax.errors import Lacking

T = TypeVar("T")
Read = Callable[[Path, formats.Parse, tuple[str, ...], bool], Texts]  # `formats.read_texts`
Count = Callable[[Document | Demonstration], int]  # tokens of a record that are trained on

# Kind of stage -> what its own texts are, and what those are that it mixes in.
PARSE_OWN: dict[str, formats.Parse] = {"behavior": formats.demonstration}
PARSE_MIXED: dict[str, formats.Parse] = {
    "rationale": formats.document_or_demonstration,
    "behavior": formats.demonstration_or_document,
}


def named(stage: ConfigDict) -> dict[str, str]:
    """Name of a source, "file" or "spec" of the stage's own -> where the config says it is from."""
    given = sources_of(stage)
    specs = [given.pop(key) for key in ("spec", "other_spec") if key in given]
    written = {"spec": " and ".join(specs)} if specs else {}
    return written | {
        key.removeprefix("mix.").removesuffix(".file"): source for key, source in given.items()
    }


def files(stage: ConfigDict) -> list[tuple[str, tuple[str, ...]]]:
    """What a stage reads, each with its splits that are named."""
    mix = stage.get("mix") or ""
    if isinstance(mix, str):
        mixed: list[tuple[str, tuple[str, ...]]] = [(mix, ())] if mix else []
    else:
        mixed = [(one.file, splits_of(one.file, tuple(one.splits))) for one in mix.values()]
    if stage.file is None:
        return mixed
    return [(stage.file, splits_of(stage.file, tuple(stage.splits))), *mixed]


def own_texts(stage: ConfigDict, folder: Path, read: Read) -> Texts:
    """All that the `file` of a stage holds, in its order."""
    splits = splits_of(stage.file, tuple(stage.splits))
    parse = PARSE_OWN.get(stage.kind, formats.document)
    return read(places.locate(stage.file, folder), parse, splits, stage.broken == "leave_out")


def mixed_in(
    stage: ConfigDict, own: int, seed: int, folder: Path, read: Read, count: Count
) -> tuple[dict[str, Records], dict[str, list[str]]]:
    """Of a stage with a mix: name of a source -> the records of it, and -> what it left out.

    own: the number of the stage's own records, of which shares depend.
    """
    leave_out, parse = stage.broken == "leave_out", PARSE_MIXED[stage.kind]
    if isinstance(stage.mix, str):
        texts = read(places.locate(stage.mix, folder), parse, (), leave_out)
        return {"mix": _share(texts.records, own, stage, seed)}, {"mix": texts.broken}
    ordered: dict[str, Records] = {}
    broken: dict[str, list[str]] = {}
    for name, source in stage.mix.items():
        splits = splits_of(source.file, tuple(source.splits))
        texts = read(places.locate(source.file, folder), parse, splits, leave_out)
        # What is limited is the beginning of the order that a stage's own file has.
        key = "order" if source.rows or source.tokens or source.share else "mix"
        ordered[name], broken[name] = in_order(texts.records, f"{key}-{seed}"), texts.broken
    taken = {
        name: first(ordered[name], source.rows, source.tokens, count, f"mix.{name}: {source.file}")
        for name, source in stage.mix.items()
        if not source.share
    }
    fixed = own + sum(map(len, taken.values()))
    shares = {name: source.share for name, source in stage.mix.items() if source.share}
    for name, share in shares.items():
        number = round(fixed * share / (1 - sum(shares.values())))
        where = f"mix.{name}: {stage.mix[name].file}"
        _check_share(number, len(ordered[name]), share, fixed, where, "its share")
        taken[name] = ordered[name][:number]
    return {name: taken[name] for name in stage.mix}, broken


def in_order(items: Sequence[T], seed: str) -> list[T]:
    """The items in an order that only the seed and their number decide."""
    shuffled = [*items]
    random.Random(seed).shuffle(shuffled)
    return shuffled


def first(records: Records, rows: int, tokens: int, count: Count, where: str) -> Records:
    """So many records, or as many as have together at most so many tokens that are trained on; all
    where both are 0. Raises Lacking where there are fewer than that."""
    if rows > len(records):
        raise Lacking(
            f"{where}: {len(records):,} records, but rows={rows}; lower it, or give more of them"
        )
    if not tokens:
        return records[: rows or None]
    total = 0
    for number, record in enumerate(records):
        total += count(record)
        if total > tokens and number == 0:
            raise Lacking(f"{where}: tokens={tokens}, but the first record has {total:,}")
        if total > tokens:
            return records[:number]
    if total < tokens:
        raise Lacking(
            f"{where}: {total:,} tokens are trained on, but tokens={tokens}; lower it, or give "
            "more of them"
        )
    return records


def _share(mix: Records, others: int, stage: ConfigDict, seed: int) -> Records:
    """As many records as make up `mix_share` of them and the `others` together."""
    number = round(others * stage.mix_share / (1 - stage.mix_share))
    _check_share(number, len(mix), stage.mix_share, others, stage.mix, "mix_share")
    return random.Random(f"mix-{seed}").sample(mix, number)


def _check_share(number: int, there: int, share: float, others: int, where: str, key: str) -> None:
    """Raises Lacking where a source has fewer records than its share is, or that is none."""
    if number == 0:
        raise Lacking(
            f"{where}: a share of {share} beside {others} others is not one record; raise {key} or "
            "leave the source out"
        )
    if number > there:
        raise Lacking(
            f"{where}: {there} records, but a share of {share} beside {others} others takes "
            f"{number}; lower {key}"
        )
