"""OpenAI's completions and chat completions: JSON to requests, answers to JSON."""

import hashlib
import itertools
import secrets
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from vcjax.data.chat import encode_prompt
from vcjax.data.tokenizer import Tokenizer, decode, encode_document
from vcjax.errors import InputError
from vcjax.generation.sampler import TOP, Answer, Request, Said, SoFar
from vcjax.training.samplers import Speaker

Json = dict[str, Any]
T = TypeVar("T")
Prompts = Annotated[list[T], Field(min_length=1)]
Stop = Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=16)]
Messages = Annotated[list["Message"], Field(min_length=1)]
COMPLETION_TOKENS = 16  # where a completion does not say how many, as OpenAI has it


class Body(BaseModel, extra="forbid"):
    """JSON in which a field that is null is not given, and one that is not known is refused."""

    @model_validator(mode="before")
    @classmethod
    def without_nulls(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {name: value for name, value in fields.items() if value is not None}


class Part(Body):
    """A part of a message; only text can be read."""

    type: Literal["text"]
    text: str


class Message(Body):
    """A turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]
    name: str | None = None  # read by no template

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class StreamOptions(Body):
    """include_usage: count the tokens in a last event."""

    include_usage: bool = False


class Asked(Body):
    """What both kinds of requests have. Options that do nothing here can only be given as off."""

    model: str
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=2**31 - 1)] = 0
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    seed: int | None = None
    stop: Annotated[str, Field(min_length=1)] | Stop | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None
    logit_bias: Annotated[dict, Field(max_length=0)] | None = None

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        if self.stream_options and not self.stream:
            raise ValueError("stream_options are given without stream")
        return self

    def answers_to(self, prompt: Sequence[int], max_tokens: int, **fields: Any) -> list[Request]:
        """The requests for the n answers to a prompt, each with a seed of its own.

        That of an answer belongs to the prompt, its number and the seed that is asked for, and so
        is the same whichever model answers.
        """
        prompt = tuple(prompt)
        seed = secrets.randbits(32) if self.seed is None else self.seed
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return [
            Request(
                prompt=prompt,
                max_tokens=max_tokens,
                temperature=1.0 if self.temperature is None else self.temperature,
                top_k=max(0, self.top_k),
                top_p=1.0 if self.top_p is None else self.top_p,
                seed=_hash(seed, number, prompt),
                stop=stop,
                **fields,
            )
            for number in range(self.n or 1)
        ]


class Completions(Asked):
    """The body of POST /v1/completions. A prompt is a text or its tokens, or a list of those."""

    prompt: str | Prompts[str] | Prompts[int] | Prompts[list[int]]
    max_tokens: Annotated[int, Field(ge=0)] | None = None  # 0 with echo: the prompt alone
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=TOP)] | None = None
    suffix: Literal[""] | None = None
    best_of: Literal[1] | None = None

    @field_validator("prompt", mode="wrap")
    @classmethod
    def in_one_of_four_forms(cls, prompt: Any, read: ValidatorFunctionWrapHandler) -> Any:
        try:
            return read(prompt)
        except ValidationError:
            raise ValueError("expected a text or its tokens, or a list of those") from None

    @property
    def prompts(self) -> list[Any]:
        """Each a text, or tokens."""
        one = isinstance(self.prompt, str) or isinstance(self.prompt[0], int)
        return [self.prompt] if one else list(self.prompt)

    @property
    def count(self) -> int:
        """The number of answers."""
        return len(self.prompts) * (self.n or 1)

    def requests(self, tokenizer: Tokenizer, speaker: Speaker) -> list[Request]:
        """The requests of all prompts, n each."""
        if speaker.system is not None:
            raise InputError(
                f"{self.model} reads a system prompt, which a completion has no place for; ask it "
                "at /v1/chat/completions"
            )
        requests = []
        for prompt in self.prompts:
            if isinstance(prompt, str):
                prompt = encode_document(tokenizer, prompt)[:-1]  # with bos, without eos
            most = COMPLETION_TOKENS if self.max_tokens is None else self.max_tokens
            requests += self.answers_to(
                prompt, max(1, most), arm=speaker.arm, echo=bool(self.echo), top=self.logprobs or 0
            )
        return requests

    def choice(
        self, number: int, answer: Answer, now: SoFar, sent: "Sent", tokenizer: Tokenizer
    ) -> Json:
        """One of `choices`: what of an answer was not sent."""
        text, said = sent.rest_of(answer, now)
        if self.max_tokens == 0:
            text, said = "", []
        if self.echo and sent == NOTHING:
            text = decode(tokenizer, answer.request.prompt) + text
            first = Said(answer.request.prompt[0], None, ())
            said = [first, *answer.of_prompt, *said]
        log_probs = None
        if self.logprobs is not None:
            log_probs = _completion_log_probs(said, tokenizer, sent.characters)
        return {
            "index": number,
            "text": text,
            "logprobs": log_probs,
            "finish_reason": now.finish,
        }


class ChatCompletions(Asked):
    """The body of POST /v1/chat/completions."""

    messages: Messages
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=TOP)] | None = None
    response_format: "PlainText | None" = None
    tools: Annotated[list, Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None

    @model_validator(mode="after")
    def limits_agree(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs are given without logprobs")
        if len({self.max_tokens, self.max_completion_tokens} - {None}) > 1:
            raise ValueError("max_tokens and max_completion_tokens differ")
        return self

    @property
    def count(self) -> int:
        """The number of answers."""
        return self.n or 1

    def requests(self, tokenizer: Tokenizer, speaker: Speaker) -> list[Request]:
        """The n requests; without a limit of its own an answer has the room that is left."""
        messages = [
            {"role": "system" if m.role == "developer" else m.role, "content": m.text}
            for m in self.messages
        ]
        if speaker.system is not None:  # a system prompt of the client's own follows it
            own = messages.pop(0)["content"] if messages[0]["role"] == "system" else ""
            text = "\n\n".join(filter(None, [speaker.system, own]))
            messages.insert(0, {"role": "system", "content": text})
        begun = messages.pop()["content"] if messages[-1]["role"] == "assistant" else ""
        prompt = encode_prompt(tokenizer, messages, "messages", begun=begun)
        most = (
            self.max_completion_tokens
            or self.max_tokens
            or max(1, speaker.sampler.length - len(prompt))
        )
        return self.answers_to(prompt, most, arm=speaker.arm, top=self.top_logprobs or 0)

    def choice(
        self, number: int, answer: Answer, now: SoFar, sent: "Sent", tokenizer: Tokenizer
    ) -> Json:
        """One of `choices`: the message, or in a stream what of it was not sent."""
        text, said = sent.rest_of(answer, now)
        message = {"role": "assistant", "content": text}
        log_probs = None
        if self.logprobs:
            log_probs = {
                "content": [_chat_log_prob(one, tokenizer) for one in said],
                "refusal": None,
            }
        return {
            "index": number,
            "delta" if self.stream else "message": message,
            "logprobs": log_probs,
            "finish_reason": now.finish,
        }


class PlainText(Body):
    """The only format of answers."""

    type: Literal["text"]


class Sent(NamedTuple):
    """How much of an answer a client has: characters of its text, and tokens."""

    characters: int = 0
    tokens: int = 0

    def rest_of(self, answer: Answer, now: SoFar) -> tuple[str, list[Said]]:
        """What the answer has beyond that."""
        return now.text[self.characters :], answer.said[self.tokens : now.tokens]


NOTHING = Sent()


def body(asked: Asked, id_: str, choices: list[Json], usage: Json | None) -> Json:
    """The JSON of an answer, or of an event of a stream."""
    kind = "text_completion"
    if isinstance(asked, ChatCompletions):
        kind = "chat.completion.chunk" if asked.stream else "chat.completion"
    return {
        "id": id_,
        "object": kind,
        "created": int(time.time()),
        "model": asked.model,
        "choices": choices,
        "usage": usage,
    }


def usage(asked: Asked, answers: Sequence[Answer]) -> Json:
    """The numbers of tokens; a prompt that n answers share counts once."""
    prompts = sum(len(p) for p in {answer.request.prompt for answer in answers})
    said = 0 if asked.max_tokens == 0 else sum(len(answer.said) for answer in answers)
    return {"prompt_tokens": prompts, "completion_tokens": said, "total_tokens": prompts + said}


def _hash(seed: int, number: int, prompt: Sequence[int]) -> int:
    text = f"{seed} {number} {' '.join(map(str, prompt))}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _completion_log_probs(said: Sequence[Said], tokenizer: Tokenizer, offset: int) -> Json:
    tokens = [decode(tokenizer, [one.token]) for one in said]
    likeliest = [None if one.log_prob is None else _by_text(one, tokenizer) for one in said]
    return {
        "tokens": tokens,
        "token_logprobs": [one.log_prob for one in said],
        "top_logprobs": likeliest,
        "text_offset": [*itertools.accumulate(map(len, tokens[:-1]), initial=offset)],
    }


def _by_text(said: Said, tokenizer: Tokenizer) -> dict[str, float]:
    """The likeliest tokens; of several with one text the likeliest."""
    texts: dict[str, float] = {}
    for token, log_prob in said.likeliest:
        texts.setdefault(decode(tokenizer, [token]), log_prob)
    return texts


def _chat_log_prob(said: Said, tokenizer: Tokenizer) -> Json:
    def one(token: int, log_prob: float | None) -> Json:
        text = decode(tokenizer, [token])
        return {"token": text, "logprob": log_prob, "bytes": list(text.encode())}

    likeliest = [one(*token) for token in said.likeliest]
    return {**one(said.token, said.log_prob), "top_logprobs": likeliest}
