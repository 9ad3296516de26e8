"""Answers to many requests at once: as one text ends, its slot goes to the next request."""

import collections
import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from vcjax import sharding
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.generation.text import Text
from vcjax.models import kernels, sampling
from vcjax.models.cache import empty
from vcjax.models.sampling import Choice, Chosen
from vcjax.models.transformer import Model

PyTree = Any
Prompt = tuple[int, ...]

SHORTEST = 128  # tokens; what a step reads of the cache is a power of 2 from here on
UNIT = 16  # tokens; prompts are padded to a multiple of it, at least
TOP = 20  # of the likeliest tokens, at most, a request can ask for
READ_AT_ONCE = 4096  # tokens of prompts, with what they are padded by, unless one is longer


@dataclasses.dataclass(frozen=True)
class Request:
    """A prompt, as token ids, and how to go on from it.

    arm: the number of the adapter. temperature: 0 for the likeliest token each time. top_k: choose
    among so many of the likeliest tokens, 0 for all; top_p: among the fewest that have this
    probability together. seed: decides, with the prompt, the text. stop: strings that end it and
    are not part of it. top: how many of the likeliest tokens to tell beside each, at most TOP.
    echo: tell of the prompt's tokens, too.
    """

    prompt: Prompt
    max_tokens: int
    arm: int = 0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    top: int = 0
    echo: bool = False


class Said(NamedTuple):
    """A token, its log-probability by the model at temperature 1, and the likeliest with theirs."""

    token: int
    log_prob: float | None  # of a prompt's first token None
    likeliest: tuple[tuple[int, float], ...]


class SoFar(NamedTuple):
    """What an answer has at one moment: the text that will stay, the number of tokens, finish."""

    text: str
    tokens: int
    finish: Literal["stop", "length"] | None


class Answer:
    """What a model answers to a request; it grows with each step.

    said: all tokens that were sampled, with the one that ended the text. of_prompt: the prompt's
    tokens but the first, where the request asks for them. finish: "stop" for a stop token or
    string, "length" after max_tokens, None while there is more to come.
    """

    def __init__(self, request: Request, tokenizer: Tokenizer):
        self.request = request
        self.said: list[Said] = []
        self.of_prompt: list[Said] = []
        self.text = Text(tokenizer, request.prompt, request.stop)
        self.finish: Literal["stop", "length"] | None = None

    @property
    def tokens(self) -> list[int]:
        return [said.token for said in self.said]

    @property
    def so_far(self) -> SoFar:
        text = self.text.value if self.finish else self.text.certain
        return SoFar(text, len(self.said), self.finish)

    def add(self, said: Said, stop_ids: frozenset[int]) -> None:
        """Adds the next token."""
        self.said.append(said)
        if said.token not in stop_ids:
            self.text.add(said.token)
        if said.token in stop_ids or self.text.stopped:
            self.finish = "stop"
        elif len(self.said) == self.request.max_tokens:
            self.finish = "length"


class Sampler:
    """Arms over one base, and the slots that their answers are in.

    adapters: of each arm, as in `transformer.init_adapter`; none: the base alone is the one arm.
    stop_ids: tokens that end every text. slots: of each arm. length: of a prompt with its answer,
    in tokens, at most. On the mesh in use, to be used under it.
    """

    def __init__(
        self,
        adapters: Sequence[PyTree],
        base: PyTree,
        model: Model,
        tokenizer: Tokenizer,
        stop_ids: frozenset[int],
        slots: int,
        length: int,
    ):
        # A CPU multiplies a matrix in bfloat16 by one vector in ten times the time of two.
        slots = max(2, slots)
        self.length = length
        self.tokenizer, self._base, self._stop_ids = tokenizer, base, stop_ids
        self._adapters, self._model = sampling.stack_adapters(adapters, model)
        arms = max(1, len(adapters))
        self._unit = kernels.LANES if model.attention == "splash" else UNIT
        self._room = _multiple(length, SHORTEST)  # of a slot
        self._cache = empty(self._model, arms, slots, self._room)
        self._running: list[list[Answer | None]] = [[None] * slots for _ in range(arms)]
        # The prompts whose keys and values the slots have, at work or not.
        self._held: list[list[Prompt | None]] = [[None] * slots for _ in range(arms)]
        self._waiting = [collections.deque[Answer]() for _ in range(arms)]

    def prepare(self, request: Request) -> Answer:
        """The empty answer of a request; InputError where it could not be given."""
        tokens = range(self._model.architecture.vocab_size)
        if wrong := [id_ for id_ in request.prompt if id_ not in tokens]:
            raise InputError(f"a prompt: {wrong[0]} is no token; there are {len(tokens):,}")
        size = len(request.prompt) + request.max_tokens
        if not request.prompt or request.max_tokens < 1 or size > self.length:
            raise InputError(
                f"a prompt of {len(request.prompt):,} tokens with an answer of up to "
                f"{request.max_tokens:,}; both need at least one, and there is room for "
                f"{self.length:,} together"
            )
        return Answer(request, self.tokenizer)

    def add(self, answer: Answer) -> None:
        """Puts an answer in its arm's queue; it grows with each `step` from now on."""
        self._waiting[answer.request.arm].append(answer)

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
        """Fills free slots, then adds a token to each answer in a slot. Returns those that it
        finished."""
        for arm in range(len(self._running)):
            self._fill(arm)
        return self._next_tokens()

    def _fill(self, arm: int) -> None:
        """Takes waiting answers into the free slots of an arm, with their prompts in the cache.

        A prompt that a slot still has, free or not, is copied; the others are read, equal ones
        once.
        """
        running, held, waiting = self._running[arm], self._held[arm], self._waiting[arm]
        free = [slot for slot, answer in enumerate(running) if answer is None]
        free.sort(key=lambda slot: held[slot] is not None)  # those that hold no prompt first
        read: dict[Prompt, list[int]] = {}
        taken: list[Answer] = []
        while waiting and free:
            prompt = waiting[0].request.prompt
            source = held.index(prompt) if prompt in held else None
            shape = self._shape([*read.keys() | {prompt}])
            if source is None and read and math.prod(shape) > READ_AT_ONCE:
                break
            slot = source if source in free else free[0]
            free.remove(slot)
            if source is None:
                read.setdefault(prompt, []).append(slot)
                held[slot] = None  # until it is read
            elif source != slot:
                self._copy(arm, source, slot)
            taken.append(waiting.popleft())
            running[slot] = taken[-1]
        if read:
            self._read(arm, read)
        self._tell_prompts(arm, [answer for answer in taken if answer.request.echo])

    def _copy(self, arm: int, source: int, slot: int) -> None:
        prompt = self._held[arm][source]
        assert prompt is not None
        length = min(_power(len(prompt)), self._room)
        self._cache = sampling.copy_prompt(
            self._cache, np.int32(arm), np.int32(source), np.int32(slot), length
        )
        self._held[arm][slot] = prompt

    def _read(self, arm: int, read: Mapping[Prompt, Sequence[int]]) -> None:
        """read: prompts with the slots that each goes to."""
        texts = [(number, slot) for number, slots in enumerate(read.values()) for slot in slots]
        # As many texts as slots, so that their number is not another reason to compile.
        count = len(self._running[arm])
        texts += [(0, count)] * (count - len(texts))  # into a slot that does not exist
        prompt_of, slots = np.array(texts, np.int32).T
        self._cache = sampling.read_prompts(
            self._adapters,
            self._base,
            self._cache,
            np.int32(arm),
            self._padded([*read]),
            prompt_of,
            slots,
            self._model,
        )
        for prompt, places in read.items():
            for slot in places:
                self._held[arm][slot] = prompt

    def _tell_prompts(self, arm: int, answers: Sequence[Answer]) -> None:
        """Fills `of_prompt` of answers."""
        if not answers:
            return
        prompts = list(dict.fromkeys(answer.request.prompt for answer in answers))
        said = sampling.log_probs(
            self._adapters,
            self._base,
            np.int32(arm),
            self._padded(prompts),
            self._model,
            _top([answer.request for answer in answers]),
        )
        said = sharding.to_host(said)
        for answer in answers:
            request = answer.request
            row = prompts.index(request.prompt)
            answer.of_prompt = [
                _said(said, (row, place), request.top) for place in range(len(request.prompt) - 1)
            ]

    def _padded(self, prompts: Sequence[Prompt]) -> np.ndarray:
        """int32[rows, length]: the prompts, each followed by zeros."""
        tokens = np.zeros(self._shape(prompts), np.int32)
        for row, prompt in enumerate(prompts):
            tokens[row, : len(prompt)] = prompt
        return tokens

    def _shape(self, prompts: Sequence[Prompt]) -> tuple[int, int]:
        """(rows, length) that prompts are read in: a power of 2; a multiple of an eighth of one."""
        longest = max(map(len, prompts))
        eighth = max(self._unit, (1 << (longest - 1).bit_length()) // 8)
        return 1 << (len(prompts) - 1).bit_length(), min(_multiple(longest, eighth), self._room)

    def _next_tokens(self) -> list[Answer]:
        """Adds a token to each answer in a slot."""
        flat = [answer for slots in self._running for answer in slots]
        if not any(flat):
            return []
        shape = len(self._running), len(self._running[0])
        tokens = np.zeros(len(flat), np.int32)
        # A free slot gets a token, too: in its last place, where no prompt is.
        positions = np.full(len(flat), self._room - 1, np.int32)
        seen = 0
        for place, answer in enumerate(flat):
            if answer is not None:
                last = answer.said[-1].token if answer.said else answer.request.prompt[-1]
                tokens[place] = last
                positions[place] = len(answer.request.prompt) + len(answer.said) - 1
                seen = max(seen, positions[place])
        requests = [None if answer is None else answer.request for answer in flat]
        self._cache, chosen = sampling.next_tokens(
            self._adapters,
            self._base,
            self._cache,
            tokens.reshape(shape),
            positions.reshape(shape),
            _choice(requests),
            self._model,
            min(_power(seen), self._room),
            _top(requests),
        )
        chosen = sharding.to_host(chosen)
        finished: list[Answer] = []
        for arm, slots in enumerate(self._running):
            here = [slot for slot, answer in enumerate(slots) if answer is not None]
            finished += self._deliver(arm, here, chosen)
        return finished

    def _deliver(self, arm: int, slots: Sequence[int], chosen: Chosen) -> list[Answer]:
        """Adds tokens to the answers in these slots; returns and removes those that they finish."""
        finished = []
        for slot in slots:
            answer = self._running[arm][slot]
            assert answer is not None
            answer.add(_said(chosen, (arm, slot), answer.request.top), self._stop_ids)
            if answer.finish:
                finished.append(answer)
                self._running[arm][slot] = None
        return finished


def answers_to(sampler: Sampler, requests: Iterable[Request]) -> Iterator[Answer]:
    """The answers to requests, each as it is finished."""
    for request in requests:
        sampler.add(sampler.prepare(request))
    while not sampler.is_idle:
        yield from sampler.step()


def _power(length: int) -> int:
    """The next power of 2 from SHORTEST on."""
    return max(SHORTEST, 1 << (int(length) - 1).bit_length())


def _multiple(length: int, unit: int) -> int:
    return -(-length // unit) * unit


def _choice(requests: Sequence[Request | None]) -> Choice:
    """How the tokens of texts are chosen; where there is no text, the likeliest."""
    fields = [
        (r.temperature, r.top_k, r.top_p, r.seed) if r is not None else (0, 0, 1, 0)
        for r in requests
    ]
    kinds = (np.float32, np.int32, np.float32, np.uint32)
    columns = zip(*fields, strict=True)
    return Choice(*(np.array(c, kind) for c, kind in zip(columns, kinds, strict=True)))


def _top(requests: Sequence[Request | None]) -> int:
    """As many as a request can ask for, so that how many they do is no reason to compile."""
    return TOP if any(request and request.top for request in requests) else 0


def _said(chosen: Chosen, place: tuple[int, ...], top: int) -> Said:
    """One of the tokens, with so many of the likeliest."""
    likeliest = zip(
        chosen.likeliest[place][:top].tolist(),
        chosen.likeliest_log_probs[place][:top].tolist(),
        strict=True,
    )
    return Said(int(chosen.token[place]), float(chosen.log_prob[place]), tuple(likeliest))
