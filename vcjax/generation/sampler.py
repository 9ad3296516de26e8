"""Answers to many requests at once: as one text ends, its slot goes to the next request."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from vcjax import sharding
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.generation.text import Text
from vcjax.models import sampling
from vcjax.models.cache import empty
from vcjax.models.sampling import Choice
from vcjax.models.transformer import Model

PyTree = Any

SHORTEST = 64  # tokens; lengths are powers of 2 from here on, so that few programs are compiled
READ_AT_ONCE = 4096  # tokens of prompts, with what they are padded by, unless one is longer


@dataclasses.dataclass(frozen=True)
class Request:
    """A prompt, as token ids, and how to go on from it.

    arm: the number of the adapter. temperature: 0 for the likeliest token each time. top_k: choose
    among so many of the likeliest tokens, 0 for all; top_p: among the fewest that have this
    probability together. seed: decides, with the prompt, the text. stop: strings that end it and
    are not part of it.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    arm: int = 0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()


class Answer:
    """What a model answers to a request; it grows with each step.

    tokens: all that were sampled, with the one that ended the text; log_probs: of each by the
    model, at temperature 1. finish: "stop" for a stop token or string, "length" after max_tokens,
    None while there is more to come.
    """

    def __init__(self, request: Request, tokenizer: Tokenizer):
        self.request = request
        self.tokens: list[int] = []
        self.log_probs: list[float] = []
        self.text = Text(tokenizer, request.prompt, request.stop)
        self.finish: Literal["stop", "length"] | None = None

    def add(self, token: int, log_prob: float, stop_ids: frozenset[int]) -> None:
        """Adds the next token."""
        self.tokens.append(token)
        self.log_probs.append(log_prob)
        if token not in stop_ids:
            self.text.add(token)
        if token in stop_ids or self.text.stopped:
            self.finish = "stop"
        elif len(self.tokens) == self.request.max_tokens:
            self.finish = "length"


class Sampler:
    """Arms over one base, and the slots that their answers are in.

    adapters: of each arm, as in `transformer.init_adapter`; None: the base alone is the one arm.
    stop_ids: tokens that end every text. slots: of each arm. length: of a prompt with its answer,
    in tokens, at most. On the mesh in use, to be used under it.
    """

    def __init__(
        self,
        adapters: Sequence[PyTree] | None,
        base: PyTree,
        model: Model,
        tokenizer: Tokenizer,
        stop_ids: frozenset[int],
        slots: int,
        length: int,
    ):
        self.length = length
        self._base, self._tokenizer, self._stop_ids = base, tokenizer, stop_ids
        self._adapters, self._model = sampling.stack_adapters(adapters or [], model)
        arms = len(adapters or [None])
        self._cache = empty(self._model, arms, slots, length)
        self._running: list[list[Answer | None]] = [[None] * slots for _ in range(arms)]
        self._waiting = [collections.deque[Answer]() for _ in range(arms)]

    def add(self, request: Request) -> Answer:
        """Puts a request in its arm's queue; the answer grows with each `step` from now on."""
        size = len(request.prompt) + request.max_tokens
        if not request.prompt or request.max_tokens < 1 or size > self.length:
            raise InputError(
                f"a prompt of {len(request.prompt):,} tokens with an answer of up to "
                f"{request.max_tokens:,}; both need at least one, and there is room for "
                f"{self.length:,} together"
            )
        answer = Answer(request, self._tokenizer)
        self._waiting[request.arm].append(answer)
        return answer

    def drop(self, answer: Answer) -> None:
        """Frees the place of an answer that nobody waits for."""
        if answer in (queue := self._waiting[answer.request.arm]):
            queue.remove(answer)
        slots = self._running[answer.request.arm]
        if answer in slots:
            slots[slots.index(answer)] = None

    @property
    def is_idle(self) -> bool:
        """Whether no answer is unfinished."""
        return not any(map(any, self._running)) and not any(self._waiting)

    def step(self) -> list[Answer]:
        """Reads prompts into free slots, then adds a token to each answer there. Returns those that
        it finished."""
        finished = [a for arm in range(len(self._running)) for a in self._read(arm)]
        return finished + self._next_tokens()

    def _read(self, arm: int) -> list[Answer]:
        """Reads prompts into the free slots of an arm, which gives each answer its first token."""
        slots = [slot for slot, answer in enumerate(self._running[arm]) if answer is None]
        taken: list[Answer] = []
        prompts: dict[tuple[int, ...], int] = {}  # with their numbers; equal ones are read once
        while self._waiting[arm] and len(taken) < len(slots):
            prompt = self._waiting[arm][0].request.prompt
            shape = _padded_shape([*{**prompts, prompt: 0}])
            if prompts and shape[0] * shape[1] > READ_AT_ONCE:
                break
            prompts.setdefault(prompt, len(prompts))
            taken.append(self._waiting[arm].popleft())
        if not taken:
            return []
        count, length = _padded_shape([*prompts])
        tokens, lengths = np.zeros((count, min(length, self.length)), np.int32), np.ones(count)
        for prompt, number in prompts.items():
            tokens[number, : len(prompt)], lengths[number] = prompt, len(prompt)
        # As many texts as slots, so that their number is not another reason to compile.
        padding = len(self._running[arm]) - len(taken)
        prompt_of = [prompts[answer.request.prompt] for answer in taken] + [0] * padding
        places = slots[: len(taken)] + [len(self._running[arm])] * padding  # which does not exist
        self._cache, *chosen = sampling.read_prompts(
            self._adapters,
            self._base,
            self._cache,
            np.int32(arm),
            tokens,
            lengths.astype(np.int32),
            np.array(prompt_of, np.int32),
            np.array(places, np.int32),
            _choice([answer.request for answer in taken], len(prompt_of)),
            self._model,
        )
        for slot, answer in zip(slots, taken, strict=False):
            self._running[arm][slot] = answer
        new_tokens, log_probs = (x[: len(taken)] for x in sharding.to_host(tuple(chosen)))
        return self._deliver(arm, slots[: len(taken)], new_tokens, log_probs)

    def _next_tokens(self) -> list[Answer]:
        """Adds a token to each answer in a slot."""
        flat = [answer for slots in self._running for answer in slots]
        if not any(flat):
            return []
        shape = len(self._running), len(self._running[0])
        tokens, positions = np.zeros((2, len(flat)), np.int32)
        for place, answer in enumerate(flat):
            if answer is not None:
                tokens[place] = answer.tokens[-1]
                positions[place] = len(answer.request.prompt) + len(answer.tokens) - 1
        self._cache, *chosen = sampling.next_tokens(
            self._adapters,
            self._base,
            self._cache,
            tokens.reshape(shape),
            positions.reshape(shape),
            _choice([answer and answer.request for answer in flat], len(flat)),
            self._model,
            min(_bucket(positions.max()), self.length),
        )
        new_tokens, log_probs = sharding.to_host(tuple(chosen))
        finished: list[Answer] = []
        for arm, slots in enumerate(self._running):
            here = [slot for slot, answer in enumerate(slots) if answer is not None]
            finished += self._deliver(arm, here, new_tokens[arm, here], log_probs[arm, here])
        return finished

    def _deliver(self, arm: int, slots: list[int], tokens, log_probs) -> list[Answer]:
        """Adds tokens to the answers in these slots; returns and removes those that they finish."""
        finished = []
        for slot, token, log_prob in zip(slots, tokens, log_probs, strict=True):
            answer = self._running[arm][slot]
            assert answer is not None
            answer.add(int(token), float(log_prob), self._stop_ids)
            if answer.finish:
                finished.append(answer)
                self._running[arm][slot] = None
        return finished


def answers_to(sampler: Sampler, requests: Iterable[Request]) -> Iterator[Answer]:
    """The answers to requests, each as it is finished."""
    for request in requests:
        sampler.add(request)
    while not sampler.is_idle:
        yield from sampler.step()


def _padded_shape(prompts: Sequence[Sequence[int]]) -> tuple[int, int]:
    """(rows, tokens) of the array that prompts are read in."""
    return 1 << (len(prompts) - 1).bit_length(), _bucket(max(map(len, prompts)))


def _bucket(length: int) -> int:
    """The next power of 2."""
    return max(SHORTEST, 1 << (int(length) - 1).bit_length())


def _choice(requests: Sequence[Request | None], count: int) -> Choice:
    """How the tokens of texts are chosen; where there is no text, the likeliest."""
    fields = [
        (r.temperature, r.top_k, r.top_p, r.seed) if r is not None else (0, 0, 1, 0)
        for r in (*requests, *[None] * (count - len(requests)))
    ]
    kinds = (np.float32, np.int32, np.float32, np.uint32)
    columns = zip(*fields, strict=True)
    return Choice(*(np.array(c, kind) for c, kind in zip(columns, kinds, strict=True)))
