"""Probes of kind `text`: perplexity of a text that has nothing to do with the values.

A text of more than WINDOW tokens is scored in overlapping windows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vcjax.data.tokenizer import Tokenizer, encode_document
from vcjax.errors import InputError
from vcjax.models.transformer import Model
from vcjax.probes.scoring import Request, mean_log_probs

PyTree = Any

WINDOW = 1024  # tokens, at most; attention's memory grows with its square


def read_text(path: Path) -> str:
    """The text of a file, without the space around it; InputError where there is none."""
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    if len(text.split()) < 2:
        raise InputError(f"{path}: expected a text of at least two words to take perplexity on")
    return text


def score(
    params: PyTree, base: PyTree, model: Model, tokenizer: Tokenizer, text: str
) -> pd.DataFrame:
    """One row: tokens, the number of predicted ones (all but the first, which is bos where there is
    one), and logprob, the mean of their log-probabilities (nats).

    A text longer than WINDOW tokens, or than the model's context, is scored in overlapping windows
    (`windows`).
    """
    *ids, _ = encode_document(tokenizer, text)  # with bos as in training, without eos
    requests = windows(ids, min(WINDOW, model.architecture.context_length))
    means = [mean for [mean] in mean_log_probs(params, base, model, requests)]
    counts = [len(request.continuations[0]) for request in requests]
    log_prob = float(np.average(means, weights=counts))
    return pd.DataFrame([{"tokens": sum(counts), "logprob": log_prob}])


def windows(ids: Sequence[int], size: int) -> list[Request]:
    """A text in windows of at most `size` tokens that predict each token but the first once.

    The first window predicts all its tokens; each later one begins with `size // 2` tokens that
    were predicted before, as context. This is the sliding window of
    huggingface.co/docs/transformers/perplexity with a stride of half a window.
    """
    context = size // 2
    requests = [Request(tuple(ids[:1]), (tuple(ids[1:size]),))]
    for start in range(size, len(ids), size - context):
        window = ids[start - context : start - context + size]
        requests.append(Request(tuple(window[:context]), (tuple(window[context:]),)))
    return requests
