"""Asks models in free text: each answer becomes a row."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from vcjax.data.chat import encode_prompt
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.generation.sampler import Answer, Request, Sampler, answers_to


class Sampling(NamedTuple):
    """How answers are drawn: `config.sampling`."""

    temperature: float
    top_p: float
    max_tokens: int
    samples: int
    slots: int


class Asked(NamedTuple):
    """A conversation that is answered. begun: the beginning of the answer; where: the probe's
    place; row: what the rows of its answers say of the probe."""

    messages: list[dict[str, str]]
    begun: str
    where: str
    row: dict[str, Any]


Prompt = tuple[int, ...]


def encode(asked: Asked, tokenizer: Tokenizer) -> Prompt:
    """The tokens that are answered."""
    return tuple(encode_prompt(tokenizer, asked.messages, asked.where, begun=asked.begun))


def check(
    asked: Iterable[Asked], tokenizer: Tokenizer, max_tokens: int, context_length: int
) -> int:
    """The tokens of the longest prompt with its answer. Raises InputError where the chat template
    refuses a conversation, or the model's context is too short; to be called before training."""
    longest = 0
    for one in asked:
        tokens = len(encode(one, tokenizer)) + max_tokens
        longest = max(longest, tokens)
        if tokens > context_length:
            raise InputError(
                f"{one.where}: the question has {tokens - max_tokens:,} tokens and its answer up "
                f"to {max_tokens:,} (config.sampling.max_tokens), the model's context has "
                f"{context_length:,}; shorten one of them"
            )
    return longest


def ask(
    sampler: Sampler,
    arms: Sequence[int],
    tokenizer: Tokenizer,
    asked: Sequence[Asked],
    sampling: Sampling,
    on_answer: Callable[[Answer], None],
) -> dict[int, pd.DataFrame]:
    """The answers of each arm: a row for each conversation and sample, in their order.

    All arms draw by the same random numbers: a conversation's and a sample's.

    Returns:
      Arm -> the columns of `Asked.row`, and messages (JSON), question (the last message), begun,
      sample (number), prompt_sha256 (of the prompt's tokens), sampling_seed, answer (text, without
      `begun`), tokens (ids, with the one that ended it), finish ("stop", or "length" where it was
      cut after max_tokens).
    """
    prompts = [encode(one, tokenizer) for one in asked]
    places = [(i, sample) for i in range(len(asked)) for sample in range(sampling.samples)]
    place_of = {}  # request -> its place; requests of one place are equal but for their arm
    requests = []
    for i, sample in places:
        seed = int(_sha256(prompts[i], sample)[:8], 16)
        for arm in arms:
            request = Request(
                prompt=prompts[i],
                max_tokens=sampling.max_tokens,
                arm=arm,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=seed,
            )
            requests.append(request)
            place_of[id(request)] = (arm, i, sample)
    rows: dict[tuple[int, int, int], dict[str, Any]] = {}
    for answer in answers_to(sampler, requests):
        on_answer(answer)
        arm, i, sample = place_of[id(answer.request)]
        rows[arm, i, sample] = _row(asked[i], prompts[i], sample, answer)
    return {arm: pd.DataFrame([rows[arm, i, sample] for i, sample in places]) for arm in arms}


def _row(asked: Asked, prompt: Prompt, sample: int, answer: Answer) -> dict[str, Any]:
    return {
        **asked.row,
        "messages": json.dumps(asked.messages, ensure_ascii=False),
        "question": asked.messages[-1]["content"],
        "begun": asked.begun,
        "sample": sample,
        "prompt_sha256": _sha256(prompt),
        "sampling_seed": answer.request.seed,
        "answer": answer.text.value,
        "tokens": answer.tokens,
        "finish": answer.finish,
    }


def _sha256(prompt: Prompt, *more: int) -> str:
    return hashlib.sha256(json.dumps([prompt, *more]).encode()).hexdigest()
