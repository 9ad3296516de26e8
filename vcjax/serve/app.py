"""The server's routes: which models there are, completions, chat completions."""

import contextlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pydantic
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError, hint
from vcjax.serve import protocol
from vcjax.serve.protocol import NOTHING, ChatCompletions, Completions, Json, Sent
from vcjax.serve.worker import Busy, Failed, Job, Worker
from vcjax.training.samplers import Speaker

BODY_BYTES = 16 * 2**20  # of a request, at most
RETRY_SECONDS = 5  # what a client is told to wait where too many answers are awaited


def make_app(speakers: Mapping[str, Speaker], worker: Worker, key: str | None) -> Starlette:
    """speakers: by the names of models. key: what clients have to send as a bearer token, None for
    nothing."""

    def check_key(request: Request) -> None:
        if key is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), key.encode()):
            raise HTTPException(401, "this server wants a key; send the one that it was given")

    async def models(request: Request) -> Response:
        check_key(request)
        listed = [{"id": name, "object": "model", "owned_by": "vcjax"} for name in speakers]
        return JSONResponse({"object": "list", "data": listed})

    async def answer(request: Request, kind: type[Completions] | type[ChatCompletions]) -> Response:
        check_key(request)
        asked = kind.model_validate_json(await _read(request))
        speaker = speakers.get(asked.model)
        if speaker is None:
            raise HTTPException(404, f"no model {asked.model!r}; {hint(asked.model, [*speakers])}")
        worker.check_room(asked.count)
        tokenizer = speaker.sampler.tokenizer
        requests = asked.requests(tokenizer, speaker)
        job = worker.job(speaker.sampler, requests)
        if asked.stream:
            stream = contextlib.ExitStack()
            events = _events(stream, stream.enter_context(job), asked, tokenizer)
            return StreamingResponse(events, media_type="text/event-stream")
        with job as waiting:
            while not waiting.done:
                await waiting.wait()
                if await request.is_disconnected():
                    return Response(status_code=499)  # nobody reads it
            choices = [
                asked.choice(number, answer, now, NOTHING, tokenizer)
                for number, (answer, now) in enumerate(
                    zip(waiting.answers, waiting.so_far, strict=True)
                )
            ]
            return JSONResponse(
                protocol.body(asked, _id(), choices, protocol.usage(asked, waiting.answers))
            )

    async def completions(request: Request) -> Response:
        return await answer(request, Completions)

    async def chat_completions(request: Request) -> Response:
        return await answer(request, ChatCompletions)

    return Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/completions", completions, methods=["POST"]),
            Route("/v1/chat/completions", chat_completions, methods=["POST"]),
        ],
        exception_handlers={
            HTTPException: _refused,
            pydantic.ValidationError: _invalid,
            InputError: _wrong,
            Busy: _busy,
            ClientDisconnect: _left,
            Failed: _failed,
        },
    )


async def _read(request: Request) -> bytes:
    """The body of a request; HTTPException where it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES:
            raise HTTPException(413, f"a request may have {BODY_BYTES // 2**20} MiB")
    return bytes(body)


async def _events(
    stream: contextlib.ExitStack,
    job: Job,
    asked: Completions | ChatCompletions,
    tokenizer: Tokenizer,
) -> AsyncIterator[str]:
    """The events of a stream, each with what is new; `stream` is closed at the end, or when the
    client leaves."""
    with stream:
        id_, sent, finished = _id(), [NOTHING] * len(job.answers), set[int]()
        while len(finished) < len(job.answers):
            if not job.done:
                await job.wait()
            for number, now in enumerate(job.so_far):
                has_more = now.finish or len(now.text) > sent[number].characters
                if number in finished or not has_more:
                    continue
                choice = asked.choice(number, job.answers[number], now, sent[number], tokenizer)
                sent[number] = Sent(len(now.text), now.tokens)
                yield _event(protocol.body(asked, id_, [choice], None))
                if now.finish:
                    finished.add(number)
        if asked.stream_options and asked.stream_options.include_usage:
            yield _event(protocol.body(asked, id_, [], protocol.usage(asked, job.answers)))
        yield "data: [DONE]\n\n"


def _event(content: Json) -> str:
    return f"data: {json.dumps(content)}\n\n"


def _id() -> str:
    return f"vcjax-{secrets.token_hex(8)}"


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """As OpenAI writes errors."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    content = {"message": message, "type": kind, "param": None, "code": None}
    return JSONResponse({"error": content}, status, dict(headers or {}))


async def _refused(request: Request, error: Any) -> Response:
    return _error(error.status_code, error.detail)


async def _invalid(request: Request, error: Any) -> Response:
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"])) or "the body"
    return _error(400, f"{place}: {first['msg']}")


async def _wrong(request: Request, error: Exception) -> Response:
    return _error(400, str(error))


async def _left(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _busy(request: Request, error: Exception) -> Response:
    return _error(429, "too many answers are awaited", {"Retry-After": str(RETRY_SECONDS)})


async def _failed(request: Request, error: Exception) -> Response:
    return _error(500, "the server has failed and stops; its log says why")
