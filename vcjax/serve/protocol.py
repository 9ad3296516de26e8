"""OpenAI's completions and chat completions: JSON to requests, answers to JSON."""

import secrets
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from vcjax.data.chat import encode_prompt
from vcjax.data.tokenizer import Tokenizer, decode, encode_document
from vcjax.generation.sampler import TOP, Answer, Request, Said

Json = dict[str, Any]
Stop = Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=16)]
Messages = Annotated[list["Message"], Field(min_length=1)]
COMPLETION_TOKENS = 16  # where a completion does not say how many, as OpenAI has it


class Part(BaseModel, extra="forbid"):
    """A part of a message; only text can be read."""

    type: Literal["text"]
    text: str


class Message(BaseModel, extra="forbid"):
    """A turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]
    name: str | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class StreamOptions(BaseModel, extra="forbid"):
    """include_usage: count the tokens in a last event."""

    include_usage: bool = False


class Asked(BaseModel, extra="forbid"):
    """What both kinds of requests have. Options that do nothing here can only be given as off."""

    model: str
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] = 0
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    seed: int | None = None
    stop: str | Stop | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None
    logit_bias: Annotated[dict, Field(max_length=0)] | None = None

    def request(self, prompt: Sequence[int], max_tokens: int, **fields: Any) -> list[Request]:
        """The requests for the n answers to a prompt, each with a seed of its own."""
        seed = secrets.randbits(32) if self.seed is None else self.seed
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return [
            Request(
                prompt=tuple(prompt),
                max_tokens=max_tokens,
                temperature=1.0 if self.temperature is None else self.temperature,
                top_k=max(0, self.top_k),
                top_p=1.0 if self.top_p is None else self.top_p,
                seed=(seed + number) % 2**32,
                stop=stop,
                **fields,
            )
            for number in range(self.n or 1)
        ]


class Completions(Asked):
    """The body of POST /v1/completions. A prompt is a text or its tokens, or a list of those."""

    prompt: str | list[str] | list[int] | list[list[int]]
    max_tokens: Annotated[int, Field(ge=0)] | None = None  # 0 with echo: the prompt alone
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=TOP)] | None = None
    suffix: Literal[""] | None = None
    best_of: Literal[1] | None = None

    def requests(self, tokenizer: Tokenizer, length: int, arm: int) -> list[Request]:
        """The requests of all prompts, n each; `length` is not needed."""
        prompts: list[Any]
        if isinstance(self.prompt, str) or (self.prompt and isinstance(self.prompt[0], int)):
            prompts = [self.prompt]
        else:
            prompts = list(self.prompt)
        requests = []
        for prompt in prompts:
            if isinstance(prompt, str):
                prompt = encode_document(tokenizer, prompt)[:-1]  # with bos, without eos
            most = COMPLETION_TOKENS if self.max_tokens is None else self.max_tokens
            requests += self.request(
                prompt, max(1, most), arm=arm, echo=bool(self.echo), top=self.logprobs or 0
            )
        return requests

    def choice(self, number: int, answer: Answer, tokenizer: Tokenizer, since: "Since") -> Json:
        """One of `choices`: what an answer has since then."""
        text, said = since.text(answer), since.said(answer)
        if self.max_tokens == 0:
            text, said = "", []
        if self.echo and since.nothing:
            text = decode(tokenizer, answer.request.prompt) + text
            first = Said(answer.request.prompt[0], float("nan"), ())
            said = [first, *answer.of_prompt, *said]
        log_probs = None
        if self.logprobs is not None:
            log_probs = _completion_log_probs(said, tokenizer, since.characters)
        return {
            "index": number,
            "text": text,
            "logprobs": log_probs,
            "finish_reason": answer.finish,
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

    def requests(self, tokenizer: Tokenizer, length: int, arm: int) -> list[Request]:
        """The n requests; without a limit of its own an answer has the room that is left."""
        messages = [
            {"role": "system" if m.role == "developer" else m.role, "content": m.text}
            for m in self.messages
        ]
        begun = messages.pop()["content"] if messages[-1]["role"] == "assistant" else ""
        prompt = encode_prompt(tokenizer, messages, "messages", begun=begun)
        most = self.max_completion_tokens or self.max_tokens or max(1, length - len(prompt))
        return self.request(prompt, most, arm=arm, top=self.top_logprobs or 0)

    def choice(self, number: int, answer: Answer, tokenizer: Tokenizer, since: "Since") -> Json:
        """One of `choices`: the message, or in a stream what is new of it."""
        message = {"role": "assistant", "content": since.text(answer)}
        log_probs = None
        if self.logprobs:
            log_probs = {
                "content": [_chat_log_prob(said, tokenizer) for said in since.said(answer)],
                "refusal": None,
            }
        return {
            "index": number,
            "delta" if self.stream else "message": message,
            "logprobs": log_probs,
            "finish_reason": answer.finish,
        }


class PlainText(BaseModel, extra="forbid"):
    """The only format of answers."""

    type: Literal["text"]


class Since:
    """How much of an answer a client has already; nothing at first."""

    def __init__(self) -> None:
        self.characters = self._tokens = 0

    @property
    def nothing(self) -> bool:
        return self.characters == self._tokens == 0

    def text(self, answer: Answer) -> str:
        """The text that is new, without what may yet be cut."""
        whole = answer.text.value if answer.finish else answer.text.certain
        return whole[self.characters :]

    def said(self, answer: Answer) -> list[Said]:
        return answer.said[self._tokens :]

    def has_all(self, answer: Answer) -> None:
        """The client was sent what `text` and `said` return."""
        self.characters += len(self.text(answer))
        self._tokens = len(answer.said)


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


def usage(answers: Sequence[Answer]) -> Json:
    """The numbers of tokens; a prompt that n answers share counts once."""
    prompts = sum(len(p) for p in {answer.request.prompt for answer in answers})
    said = sum(len(answer.said) for answer in answers)
    return {"prompt_tokens": prompts, "completion_tokens": said, "total_tokens": prompts + said}


def _completion_log_probs(said: Sequence[Said], tokenizer: Tokenizer, offset: int) -> Json:
    tokens = [decode(tokenizer, [one.token]) for one in said]
    offsets = [offset + sum(map(len, tokens[:place])) for place in range(len(tokens))]
    told = [None if one.log_prob != one.log_prob else one.log_prob for one in said]
    likeliest = [
        None if log_prob is None else _by_text(one, tokenizer)
        for one, log_prob in zip(said, told, strict=True)
    ]
    return {
        "tokens": tokens,
        "token_logprobs": told,
        "top_logprobs": likeliest,
        "text_offset": offsets,
    }


def _by_text(said: Said, tokenizer: Tokenizer) -> dict[str, float]:
    """The likeliest tokens; of several with one text the likeliest."""
    texts: dict[str, float] = {}
    for token, log_prob in said.likeliest:
        texts.setdefault(decode(tokenizer, [token]), log_prob)
    return texts


def _chat_log_prob(said: Said, tokenizer: Tokenizer) -> Json:
    def one(token: int, log_prob: float) -> Json:
        text = decode(tokenizer, [token])
        return {"token": text, "logprob": log_prob, "bytes": list(text.encode())}

    likeliest = [one(*token) for token in said.likeliest]
    return {**one(said.token, said.log_prob), "top_logprobs": likeliest}
