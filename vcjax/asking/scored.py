"""Choices and texts: scored by log-probability, one model after the other."""

from collections.abc import Iterator, Mapping, Sequence

import jax
import pandas as pd

from vcjax.asking.models import Asker, Task, after, each_once
from vcjax.probes import choice, perplexity
from vcjax.probes.probe_files import Probes
from vcjax.training.loaded_model import LoadedModel, Weights
from vcjax.workdir import preemption


def answers(
    asker: Asker, probes: Mapping[str, Probes], stale: Sequence[Task]
) -> Iterator[dict[Task, pd.DataFrame]]:
    """One model after the other, each loaded once: the rows of `choice.score` and
    `perplexity.score`, with columns file, file_sha256 and scorer (how they were scored, as text).

    probes: by kind.
    """
    for model in each_once([model for model, _ in stale]):
        preemption.stop_if_noticed()
        kinds = dict.fromkeys(kind for other, kind in stale if other.name == model.name)
        loaded = asker.load(asker.base(model))
        weights = loaded.after(asker.workdir, asker.record.plan, model.arm, model.seed)
        system = asker.system(model)
        with jax.set_mesh(loaded.mesh):
            tables = {
                (model, kind): _score(weights, loaded, after(probes[kind], system), kind)
                for kind in kinds
            }
        del weights  # the next may not fit beside them
        yield tables


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
