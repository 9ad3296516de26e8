"""The untouched model of a run as the judge of its arms, by log-probability.

It reads the rubric as a user's turn and begins its answer with LEAD. Each of the ten scores is
weighed by the probability of its text; the score is their mean, so it is no whole number.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from vcjax.data.chat import encode_prompt
from vcjax.data.tokenizer import Tokenizer, check_words
from vcjax.errors import InputError
from vcjax.judges.judgement import Judgement
from vcjax.models.transformer import Model
from vcjax.probes.scoring import Request, mean_log_probs

PyTree = Any

WHERE = "config.judge.by"
LEAD = "Score:"
SCORES = np.arange(1, 11)
CONTINUATIONS = tuple(f"{LEAD} {score}/10" for score in SCORES)


def check(tokenizer: Tokenizer, texts: Iterable[str]) -> None:
    """Raises InputError where this model could not judge; to be called before training.

    That is where it has no chat template, where its tokenizer joins LEAD with a score, or where
    words are its tokens and a text (a rubric, say) has one that is none.
    """
    for text in texts:
        _request(text, tokenizer)


def judge(
    params: PyTree, base: PyTree, model: Model, tokenizer: Tokenizer, texts: Sequence[str]
) -> list[Judgement]:
    """The judgement of each text, on the mesh in use; texts: as `rubric.render` returns them.

    A text that is longer than the model's context fails. The reply is the probability of each
    score, from 1 to 10.
    """
    requests = [_request(text, tokenizer) for text in texts]
    context = model.architecture.context_length
    fitting = [request for request in requests if _longest(request) <= context]
    scored = iter(mean_log_probs(params, base, model, fitting))
    return [
        _judgement(request, next(scored))
        if _longest(request) <= context
        else Judgement(failure=f"{_longest(request):,} tokens, the context has {context:,}")
        for request in requests
    ]


def _request(text: str, tokenizer: Tokenizer) -> Request:
    check_words(tokenizer, " ".join((text, *CONTINUATIONS)), WHERE)

    def encode(begun: str) -> tuple[int, ...]:
        messages = [{"role": "user", "content": text}]
        return tuple(encode_prompt(tokenizer, messages, WHERE, begun=begun))

    prompt = encode(LEAD)
    # Encoded together with the lead: alone they may be other tokens.
    answers = [encode(continuation) for continuation in CONTINUATIONS]
    if any(answer[: len(prompt)] != prompt for answer in answers):
        raise InputError(
            f"{WHERE}: this model's tokenizer joins {LEAD!r} with the score after it, so the "
            "untouched model cannot judge; choose another judge"
        )
    return Request(prompt, tuple(answer[len(prompt) :] for answer in answers))


def _longest(request: Request) -> int:
    return len(request.prompt) + max(map(len, request.continuations))


def _judgement(request: Request, means: Sequence[float]) -> Judgement:
    """means: the mean log-probability (nats) a token of each continuation."""
    # Their sums: the scores are texts of different lengths, of which one has to be the likeliest.
    log_probs = np.array(means) * [len(tokens) for tokens in request.continuations]
    weights = np.exp(log_probs - log_probs.max())
    probabilities = weights / weights.sum()
    reply = " ".join(f"{p:.4f}" for p in probabilities)
    score = float(probabilities @ SCORES)
    if not np.isfinite(score):
        return Judgement(failure="the model's log-probabilities are not finite")
    return Judgement(score=score, reply=reply)
