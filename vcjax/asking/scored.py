"""Choices and texts: scored by log-probability, one model after the other."""

from collections.abc import Iterator

import jax
import pandas as pd

from vcjax.asking.models import Asker, Model, after
from vcjax.probes import choice, perplexity
from vcjax.probes.probe_files import Probes
from vcjax.training.loaded_model import LoadedModel, Weights
from vcjax.workdir import preemption


def answers(
    asker: Asker, probes: Probes, kind: str, stale: list[Model]
) -> Iterator[dict[Model, pd.DataFrame]]:
    """One after the other, the rows of `choice.score` or `perplexity.score` of each of these
    models, with columns file, file_sha256 and scorer (how they were scored, as text)."""
    for model in stale:
        preemption.stop_if_noticed()
        loaded = asker.load()
        weights = loaded.after(asker.workdir, asker.record.plan, model.arm, model.seed)
        with jax.set_mesh(loaded.mesh):
            table = _score(weights, loaded, after(probes, asker.system(model)), kind)
        del weights  # the next may not fit beside them
        yield {model: table}


def _score(weights: Weights, loaded: LoadedModel, probes: Probes, kind: str) -> pd.DataFrame:
    (model, params, base), tokenizer = weights, loaded.pretrained.tokenizer
    lead = loaded.config.lead
    tables = []
    for name, file in probes.items():
        preemption.stop_if_noticed()
        if kind == "text":
            table = perplexity.score(params, base, model, tokenizer, file.probes[0])
            scorer = "mean log-probability a token of the text"
        else:
            table = choice.score(params, base, model, tokenizer, file.probes, lead)
            own = any(probe.lead for probe in file.probes)
            after = "the beginning that each probe has" if own else repr(lead)
            scorer = f"mean log-probability a token after {after}"
        scorer = f"{scorer}, {model.compute_dtype}"
        tables.append(table.assign(file=name, file_sha256=file.sha256, scorer=scorer))
    return pd.concat(tables, ignore_index=True)
