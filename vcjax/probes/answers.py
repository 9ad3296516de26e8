"""The answers of every arm and seed to the probe files, one Parquet file each."""

import functools
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import pandas as pd
from etils import epath

from vcjax.data import probe_files
from vcjax.errors import InputError
from vcjax.probes import answer_files, choice, perplexity
from vcjax.training.loaded_model import Loaded
from vcjax.workdir import files, preemption, processes

PyTree = Any
Probes = dict[str, tuple[str, list[probe_files.ChoiceProbe] | str]]  # name -> sha256, what it holds


def read_probes(paths: Iterable[Path]) -> Probes:
    """Reads probe files: choices, or in a file .txt a text whose perplexity is measured.

    Their names tell them apart, and a domain belongs to one split.
    """
    found: Probes = {}
    first_in: dict[str, probe_files.ChoiceProbe] = {}  # of each domain
    for path in paths:
        if path.name in found:
            raise InputError(f"{path}: a second probe file of this name; rename one of them")
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        if path.suffix == ".txt":
            found[path.name] = (sha, perplexity.read_text(path))
            continue
        items = probe_files.read_probes(path)
        found[path.name] = (sha, items)
        for probe in items:
            first = first_in.setdefault(probe.domain.casefold(), probe)
            if probe.domain != first.domain:
                raise InputError(
                    f"{probe.where}: the domain {probe.domain!r} is spelled {first.domain!r} at "
                    f"{first.where}; intervals count domains, so give each one spelling"
                )
            if probe.split != first.split:
                raise InputError(
                    f"{probe.where}: the domain {probe.domain!r} is {probe.split} here and "
                    f"{first.split} at {first.where}; a domain belongs to one split"
                )
    return found


def choices(probes: Probes) -> Iterator[probe_files.ChoiceProbe]:
    """The choices of all files."""
    for _, items in probes.values():
        if not isinstance(items, str):
            yield from items


def sha256_of(probes: Probes) -> dict[str, str]:
    """File name -> sha256."""
    return {name: sha for name, (sha, _) in probes.items()}


def probe_arms(
    run: dict[str, Any],
    load: Callable[[], Loaded],
    probes: Probes,
    workdir: epath.Path,
    place: str,
) -> None:
    """Scores every arm and seed on the probe files; a file of rows each, in workdir/place.

    run: what config.json holds. An arm whose file already holds these answers is left alone; the
    untouched model, which is the same for all seeds, answers once.
    """
    untouched: pd.DataFrame | None = None
    asked, lead = sha256_of(probes), run["config"]["lead"]
    for arm, chains in run["plan"]["arms"].items():
        for seed, chain in chains.items():
            last = chain[-1] if chain else None
            name = f"{place}/{arm}-{seed}.parquet"
            path = workdir / name
            is_current = functools.partial(answer_files.is_current, path, run, arm, seed, asked)
            if processes.on_first(is_current):
                continue
            preemption.stop_if_noticed()
            started = time.monotonic()
            if last is not None or untouched is None:
                loaded = load()
                params = loaded.params(workdir, last, int(seed))
                answers = _answers(params, loaded, probes, lead)
                untouched = answers if last is None else untouched
            else:
                answers = untouched
            decided = answer_files.decided_by(run, arm, seed, asked)
            answer_files.write(path, answers.assign(arm=arm, seed=int(seed)), decided)
            seconds = time.monotonic() - started
            files.note_time(workdir, name, seconds)
            print(f"probed arm {arm}, seed {seed} in {seconds:.0f} s")


def _answers(params: PyTree, loaded: Loaded, probes: Probes, lead: str) -> pd.DataFrame:
    """One model's answers to all probe files."""
    model, tokenizer = loaded.model, loaded.pretrained.tokenizer
    tables = []
    with jax.set_mesh(loaded.mesh):
        for name, (sha, items) in probes.items():
            preemption.stop_if_noticed()
            if isinstance(items, str):
                table = perplexity.score(params, loaded.base, model, tokenizer, items)
                scorer = f"mean log-probability a token of the text, {model.compute_dtype}"
            else:
                table = choice.score(params, loaded.base, model, tokenizer, items, lead)
                scorer = f"mean log-probability a token after {lead!r}, {model.compute_dtype}"
            tables.append(table.assign(file=name, file_sha256=sha, scorer=scorer))
    return pd.concat(tables, ignore_index=True)
