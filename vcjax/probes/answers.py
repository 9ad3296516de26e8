"""Reads probe files, and scores one model on them."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from ml_collections import ConfigDict

from vcjax.data import probe_files
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError, hint
from vcjax.models.transformer import Model
from vcjax.probes import choice, perplexity
from vcjax.workdir import preemption

PyTree = Any
# File name -> (sha256, choices or a text)
Probes = dict[str, tuple[str, list[probe_files.ChoiceProbe] | str]]
# What the names of probe files end in.
CHOICES, TEXTS = (".jsonl", ".ndjson", ".json"), (".txt",)


def read_probes(paths: Iterable[Path]) -> Probes:
    """Reads probe files: choices, or from a .txt file a text whose perplexity is measured.

    Raises InputError for a file that cannot be used, for two files of one name, and for a domain
    that is spelled in two ways or belongs to two splits.
    """
    probes: Probes = {}
    first_of_domain: dict[str, probe_files.ChoiceProbe] = {}
    for path in paths:
        if path.name in probes:
            raise InputError(f"{path}: a second probe file of this name; rename one of them")
        if path.suffix.lower() not in (*CHOICES, *TEXTS):
            raise InputError(
                f"{path}: no probe file by its name; choices are read from {', '.join(CHOICES)}, "
                f"and a text whose perplexity is measured from {', '.join(TEXTS)}"
            )
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        if path.suffix.lower() in TEXTS:
            probes[path.name] = (sha, perplexity.read_text(path))
            continue
        choices = probe_files.read_probes(path)
        probes[path.name] = (sha, choices)
        for probe in choices:
            first = first_of_domain.setdefault(probe.domain.casefold(), probe)
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
    return probes


def choices(probes: Probes) -> Iterator[probe_files.ChoiceProbe]:
    """The choices of all files."""
    for _, content in probes.values():
        if not isinstance(content, str):
            yield from content


def sha256_of(probes: Probes) -> dict[str, str]:
    """File name -> sha256."""
    return {name: sha for name, (sha, _) in probes.items()}


def score(
    params: PyTree, base: PyTree, model: Model, tokenizer: Tokenizer, probes: Probes, lead: str
) -> pd.DataFrame:
    """The model's scores on all probe files, on the mesh in use.

    Returns the rows of `choice.score` and `perplexity.score`, with columns file, file_sha256 and
    scorer (how they were scored, as text).
    """
    tables = []
    for name, (sha, content) in probes.items():
        preemption.stop_if_noticed()
        if isinstance(content, str):
            table = perplexity.score(params, base, model, tokenizer, content)
            scorer = f"mean log-probability a token of the text, {model.compute_dtype}"
        else:
            table = choice.score(params, base, model, tokenizer, content, lead)
            own = any(probe.lead for probe in content)
            after = "the beginning that each probe has" if own else repr(lead)
            scorer = f"mean log-probability a token after {after}, {model.compute_dtype}"
        tables.append(table.assign(file=name, file_sha256=sha, scorer=scorer))
    return pd.concat(tables, ignore_index=True)


def check(probes: Probes, config: ConfigDict) -> None:
    """Raises InputError where config.exclude has an unknown id, and where no probe measures the
    primary contrast."""
    known = sorted({probe.id for probe in choices(probes)})
    for name in config.exclude:
        if name not in known:
            raise InputError(f"config.exclude: there is no probe {name!r}; {hint(name, known)}")
    values = {
        value
        for probe in choices(probes)
        for value in probe.values
        if (probe.contrast, probe.scope, probe.split) == ("values", "out_of_domain", "held_out")
        and probe.id not in config.exclude
    }
    if config.toward not in values:
        others = hint(config.toward, sorted(filter(None, values)))
        raise InputError(
            f"config.toward: no held-out probe outside the training domain sets {config.toward!r} "
            "against another value (null is none), so the primary contrast would have no answer; "
            f"{others if values else 'no such probe sets two values against each other'}"
        )
