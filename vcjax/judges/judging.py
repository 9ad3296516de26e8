"""Scores sampled answers by the judge of the config.

The judge reads the rubric, the question and the answer. It never learns which arm answered: equal
texts are judged once, for all that share them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from etils import epath

from vcjax.judges import endpoint, phrases, rubric, store
from vcjax.judges.judgement import Judgement
from vcjax.workdir import processes

KEYS = ["file", "id", "order", "sample"]

ByBase = Callable[[Sequence[str]], list[Judgement]]


def check(settings: Mapping[str, Any]) -> None:
    """Raises InputError where this machine could not use the judge; to be called before training.

    settings: config.judge.
    """
    if settings["by"] == "endpoint":
        endpoint.check(settings)


def judge(
    rows: pd.DataFrame, settings: Mapping[str, Any], workdir: epath.Path, by_base: ByBase
) -> pd.DataFrame:
    """The judgement of each answer, in the order and with the index of the rows.

    Args:
        rows: one an answer, with the columns of KEYS and rubric, question, begun, answer (text);
            for "phrases" phrases_for and phrases_against (lists of text) in the place of rubric.
        settings: config.judge, whose `by` is another than "none".
        workdir: the run's; replies of an endpoint are kept there.
        by_base: judges texts as `base.judge` does, with the untouched model on its mesh; called
            for "base" alone.

    Returns:
        KEYS, score (1 to 10, NaN where the judge failed), failure (why, else ""), judge (who it
        was) and reply (what the score was read from), as text.

    Raises:
        InputError: where an endpoint would answer no more, or its replies could not be kept.
    """
    whole = [begun + said for begun, said in zip(rows["begun"], rows["answer"], strict=True)]
    if settings["by"] == "phrases":
        columns = (whole, rows["phrases_for"], rows["phrases_against"])
        found = [phrases.judge(*row) for row in zip(*columns, strict=True)]
    else:
        columns = (rows["rubric"], rows["question"], whole)
        texts = [rubric.render(*row) for row in zip(*columns, strict=True)]
        distinct = list(dict.fromkeys(texts))
        judgements = dict(
            zip(distinct, _of_texts(distinct, settings, workdir, by_base), strict=True)
        )
        found = [judgements[text] for text in texts]
    return rows[KEYS].assign(
        score=np.array([j.score for j in found], float),
        failure=[j.failure for j in found],
        judge=name(settings),
        reply=[j.reply for j in found],
    )


def name(settings: Mapping[str, Any]) -> str:
    """Who judges, for the report."""
    if settings["by"] == "endpoint":
        url = urlsplit(settings["url"])
        return f"endpoint {settings['model']} at {url.scheme}://{url.netloc}"
    return {"base": "base model by log-probability", "phrases": "phrases"}[settings["by"]]


def _of_texts(
    texts: list[str], settings: Mapping[str, Any], workdir: epath.Path, by_base: ByBase
) -> list[Judgement]:
    if settings["by"] == "base":
        return by_base(texts)
    path = store.place(workdir)
    # Of many processes one asks.
    asked = processes.on_first(lambda: endpoint.judge(texts, settings, path))
    return [Judgement(*values) for values in asked]
