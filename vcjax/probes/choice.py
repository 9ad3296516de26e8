"""Paired choices: a probe in both orders -> requests for scores -> one row an order."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from vcjax.data.chat import encode_prompt
from vcjax.data.probe_files import ChoiceProbe
from vcjax.data.tokenizer import Tokenizer, decode
from vcjax.errors import InputError
from vcjax.models.transformer import Model
from vcjax.probes.scoring import Request, mean_log_probs

PyTree = Any


def score(
    params: PyTree,
    base: PyTree,
    model: Model,
    tokenizer: Tokenizer,
    probes: Sequence[ChoiceProbe],
    lead: str,
) -> pd.DataFrame:
    """Two rows a probe, order 0 and 1: which option the question names first.

    The model is asked in its chat template; its answer begins with `lead`, and each option's text
    after it is scored: the mean log-probability (nats) a token, so that length does not decide.
    """
    asked = [(probe, order) for probe in probes for order in (0, 1)]
    requests = [_request(probe, order, tokenizer, lead) for probe, order in asked]
    scores = mean_log_probs(params, base, model, requests)
    return pd.DataFrame(
        [
            _row(probe, order, request, score)
            for (probe, order), request, score in zip(asked, requests, scores, strict=True)
        ]
    )


def as_read(probe: ChoiceProbe, tokenizer: Tokenizer, lead: str) -> str:
    """What the model reads before an option: its template with any system prompt, the question, the
    beginning of the answer."""
    return decode(tokenizer, _request(probe, 0, tokenizer, lead).prompt)


def _request(probe: ChoiceProbe, order: int, tokenizer: Tokenizer, lead: str) -> Request:
    first, second = probe.options if order == 0 else probe.options[::-1]
    question = probe.template.replace("{a}", first).replace("{b}", second)  # no option has braces

    def answered(answer: str) -> list[int]:
        messages = [{"role": "user", "content": question}]
        return encode_prompt(tokenizer, messages, probe.where, begun=answer)

    begun = answered(lead)
    answers = [f"{lead} {option}" for option in probe.options]
    return Request(
        prompt=tuple(begun),
        continuations=tuple(_continued(begun, answered(a), a) for a in answers),
    )


def _continued(begun: list[int], ids: list[int], answer: str) -> tuple[int, ...]:
    """The ids after those of its beginning; the rest of the answer alone may be other tokens."""
    if ids[: len(begun)] != begun:
        raise InputError(
            f"config.lead: this model's tokenizer joins its end with the option in {answer!r}; "
            "choose a lead that ends with a whole word"
        )
    return tuple(ids[len(begun) :])


def _row(probe: ChoiceProbe, order: int, request: Request, score: list[float]) -> dict[str, Any]:
    return {
        "id": probe.id,
        "domain": probe.domain,
        "scope": probe.scope,
        "split": probe.split,
        "contrast": probe.contrast,
        "explicitness": probe.explicitness,
        "value_0": probe.values[0],
        "value_1": probe.values[1],
        "option_0": probe.options[0],
        "option_1": probe.options[1],
        "order": order,
        "logprob_0": score[0],
        "logprob_1": score[1],
        "tokens_0": len(request.continuations[0]),
        "tokens_1": len(request.continuations[1]),
    }
