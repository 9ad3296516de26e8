"""How well a model predicts a text that has nothing to do with the values: what training cost."""

from pathlib import Path
from typing import Any

import pandas as pd

from vcjax.data.tokenizer import Tokenizer, encode_document
from vcjax.errors import InputError
from vcjax.models.transformer import Model
from vcjax.probes.scoring import Request, mean_log_probs

PyTree = Any


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
    """One row, with the columns of `choice.score`: contrast "text", tokens_0 the tokens that were
    predicted (all but the first, which is bos where there is one, as far as the model's context
    reaches), logprob_0 the mean of their log-probabilities (nats)."""
    *ids, _ = encode_document(tokenizer, text)  # begun as in training, without what ends it
    ids = ids[: model.architecture.context_length]
    request = Request(prompt=tuple(ids[:1]), continuations=(tuple(ids[1:]),))
    [[log_prob]] = mean_log_probs(params, base, model, [request])
    row = {
        **dict.fromkeys(("id", "domain", "scope", "split", "option_0", "option_1"), ""),
        **dict.fromkeys(("explicitness", "value_0", "value_1")),
        **{"contrast": "text", "order": 0, "logprob_0": log_prob, "logprob_1": float("nan")},
        **{"tokens_0": len(request.continuations[0]), "tokens_1": 0},
    }
    return pd.DataFrame([row])
