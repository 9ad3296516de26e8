"""Probes of kind `choice`: scored by log-probability in both orders of the options, one row an
order."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from vcjax.data.chat import encode_prompt
from vcjax.data.tokenizer import Tokenizer, check_words, decode
from vcjax.errors import InputError
from vcjax.models.transformer import Model
from vcjax.probes.paired import ORDERS, PairedProbe
from vcjax.probes.scoring import Request, mean_log_probs

PyTree = Any


def score(
    params: PyTree,
    base: PyTree,
    model: Model,
    tokenizer: Tokenizer,
    probes: Sequence[PairedProbe],
    lead: str,
) -> pd.DataFrame:
    """Two rows a probe, of order 0 and 1: the index of the option that the question names first.

    The question is rendered with the model's chat template, and the answer begins with the probe's
    lead, or else with `lead`. An option's score is the mean log-probability (nats) a token of its
    text after the lead; a mean, so that an option's length does not decide.
    """
    ordered = [(probe, order) for probe in probes for order in ORDERS]
    requests = [_request(probe, order, tokenizer, lead) for probe, order in ordered]
    scores = mean_log_probs(params, base, model, requests)
    return pd.DataFrame(
        [
            _row(probe, order, request, score)
            for (probe, order), request, score in zip(ordered, requests, scores, strict=True)
        ]
    )


def check(
    probes: Iterable[PairedProbe], tokenizer: Tokenizer, lead: str, context_length: int
) -> None:
    """Raises InputError where `score` could not score a probe; to be called before training.

    That is where the chat template refuses the question, where the tokenizer joins lead and option,
    or where the question with its answer has more than `context_length` tokens.
    """
    for probe in probes:
        for order in ORDERS:
            request = _request(probe, order, tokenizer, lead)
            tokens = len(request.prompt) + max(map(len, request.continuations))
            if tokens > context_length:
                raise InputError(
                    f"{probe.where}: the question and its answer have {tokens:,} tokens, the "
                    f"model's context has {context_length:,}; shorten the probe or remove it"
                )


def as_read(probe: PairedProbe, tokenizer: Tokenizer, lead: str) -> str:
    """The text before an option: the chat template with the question, then the lead."""
    return decode(tokenizer, _request(probe, 0, tokenizer, lead).prompt)


@functools.lru_cache(maxsize=2**17)  # all arms are asked the same
def _request(probe: PairedProbe, order: int, tokenizer: Tokenizer, lead: str) -> Request:
    lead = probe.lead or lead
    messages = probe.messages(order)

    def encode(answer: str) -> tuple[int, ...]:
        return tuple(encode_prompt(tokenizer, messages, probe.where, begun=answer))

    texts = [message["content"] for message in messages]
    check_words(tokenizer, " ".join([*texts, lead]), probe.where)
    prompt = encode(lead)

    def continuation(option: str) -> tuple[int, ...]:
        # Encoded together with the lead: alone it may be other tokens.
        answer = f"{lead} {option}"
        ids = encode(answer)
        if ids[: len(prompt)] != prompt:
            raise InputError(
                f"config.lead: this model's tokenizer joins its end with the option in {answer!r} "
                f"({probe.where}); choose a lead that ends with a whole word"
            )
        return ids[len(prompt) :]

    return Request(prompt, tuple(continuation(option) for option in probe.options))


def _row(probe: PairedProbe, order: int, request: Request, score: list[float]) -> dict[str, Any]:
    return {
        **probe.row_of(order),
        "explicitness": probe.explicitness,
        "logprob_0": score[0],
        "logprob_1": score[1],
        "tokens_0": len(request.continuations[0]),
        "tokens_1": len(request.continuations[1]),
    }
