"""A judge behind any endpoint that speaks OpenAI's chat completions.

A reply is stored as it arrives, before it is read: a stop loses none, and a later start pays for
none twice. What is asked is the text alone, at temperature 0.
"""

import asyncio
import importlib.util
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vcjax.errors import InputError
from vcjax.judges import endpoint_errors, judgement, store
from vcjax.judges.judgement import Judgement

ATTEMPTS = 8  # of one request
FIRST_WAIT, LONGEST_BACKOFF = 1.0, 60.0  # seconds; between two attempts, each time twice as much
LINE_SECONDS = 15.0  # between two lines of progress
NO_PROTOCOL = "no reply of OpenAI's protocol"

Sent = dict[str, Any]  # the body of a request


def check(settings: Mapping[str, Any]) -> None:
    """Raises InputError where the endpoint could not be asked; to be called before training.

    settings: config.judge. That is where a package is missing, or the environment has no key.
    """
    for package in ("openai", "tenacity"):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"config.judge.by: the package {package} is not installed; "
                "pip install 'vcjax[judge]'"
            )
    _secret(settings)


def judge(texts: Sequence[str], settings: Mapping[str, Any], path: Path) -> list[Judgement]:
    """The judgement of each text; texts: as `rubric.render` returns them, all different.

    settings: config.judge; path: the file that keeps the replies. A text that gets no reply fails,
    and the next call asks for it again. Raises InputError where the endpoint would answer no more,
    a wrong key, a spent quota, no connection, and where no reply has a score.
    """
    sent = {store.key({"url": settings["url"], **body}): body for body in _bodies(texts, settings)}
    with store.opened(path) as kept:
        new = {key: body for key, body in sent.items() if store.get(kept, key) is None}
        failures = _ask_for(new, settings, kept) if new else {}
        if failures and len(failures) == len(sent):
            first = next(iter(failures.values()))
            raise InputError(f"config.judge: {settings['url']} gave no judgement at all: {first}")
        replies = {key: store.get(kept, key) for key in sent}
    found = [
        judgement.read(*reply) if reply else Judgement(failure=failures[key])
        for key, reply in replies.items()
    ]
    if found and all(judged.failure for judged in found):
        raise InputError(
            f"config.judge: {settings['url']} judged none of {len(found):,} answers; the first "
            f"failure: {found[0].failure}. Replies are kept, so this model of this address is not "
            "asked again: choose another"
        )
    return found


def _bodies(texts: Sequence[str], settings: Mapping[str, Any]) -> list[Sent]:
    return [
        {
            "model": settings["model"],
            "messages": [{"role": "user", "content": f"{text}\n\n{judgement.ASKED}"}],
            "temperature": 0,
            "max_tokens": settings["max_tokens"],
        }
        for text in texts
    ]


def _secret(settings: Mapping[str, Any]) -> str:
    """The value of the API's key, which may stand in no message; "" where none is needed."""
    variable = settings["key"]
    if not variable:
        return ""
    value = os.environ.get(variable, "").strip()
    if not value or not value.isascii() or not value.isprintable():
        problem = "holds characters that no key has" if value else "is not set"
        raise InputError(
            f"config.judge.key: the environment variable {variable} {problem}; put the key of "
            f"{settings['url']} there"
        )
    return value


def _ask_for(
    requests: Mapping[str, Sent], settings: Mapping[str, Any], kept: sqlite3.Connection
) -> dict[str, str]:
    """Stores a reply to each request. Returns key -> why, of the requests that got none."""
    check(settings)
    print(f"judge: {len(requests):,} answers to ask {settings['url']} about")
    outcomes = asyncio.run(_ask_all(requests, settings, kept))
    return {key: failure for key, failure in outcomes.items() if failure}


async def _ask_all(
    requests: Mapping[str, Sent], settings: Mapping[str, Any], kept: sqlite3.Connection
) -> dict[str, str]:
    """Stores a reply to each request. Returns key -> why it got none, "" for a reply."""
    from openai import AsyncOpenAI

    outcomes: dict[str, str] = {}
    waiting = iter(requests.items())

    async def work() -> None:
        for key, body in waiting:  # whichever worker is free takes the next
            reply = await _ask(client, body, settings, kept)
            if isinstance(reply, store.Reply):
                store.put(kept, key, reply)
            outcomes[key] = reply if isinstance(reply, str) else ""

    async def tell() -> None:
        while True:
            await asyncio.sleep(LINE_SECONDS)
            failed = sum(map(bool, outcomes.values()))
            print(f"judge: {len(outcomes):,}/{len(requests):,} answers, {failed:,} without reply")

    async with AsyncOpenAI(
        base_url=settings["url"],
        api_key=_secret(settings) or "none",  # else the client would take OPENAI_API_KEY
        max_retries=0,  # they are made here
    ) as client:
        workers = [asyncio.create_task(work()) for _ in range(settings["requests"])]
        telling = asyncio.create_task(tell())
        try:
            await asyncio.gather(*workers)
        finally:  # the first error ends all of them
            for task in (*workers, telling):
                task.cancel()
    return outcomes


async def _ask(
    client: Any, body: Sent, settings: Mapping[str, Any], kept: sqlite3.Connection
) -> store.Reply | str:
    """The reply, or why there is none. InputError where other requests would get none either."""
    import tenacity
    from openai import APIError

    backoff = tenacity.wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_BACKOFF)

    def wait(state: Any) -> float:
        return max(backoff(state), endpoint_errors.asked_wait(state.outcome.exception()))

    of_endpoint = tenacity.retry_if_exception_type(APIError)
    retrying = tenacity.AsyncRetrying(
        retry=of_endpoint & tenacity.retry_if_exception(endpoint_errors.may_pass),
        wait=wait,
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
    try:
        async for attempt in retrying:
            with attempt:
                completion = await client.chat.completions.create(**body)
    except APIError as error:
        ending = endpoint_errors.ending(error, settings)
        if ending is None:
            return _without(_secret(settings), endpoint_errors.reason(error))
        message = f"{ending}; {store.count(kept):,} judgements are kept"
        raise InputError(_without(_secret(settings), message)) from None
    except ValueError:  # broken JSON
        return NO_PROTOCOL
    return _reply(completion)


def _reply(completion: Any) -> store.Reply | str:
    try:
        choice = completion.choices[0]
        text = choice.message.content or choice.message.refusal or ""
        # What is no valid Unicode can be stored nowhere.
        return store.Reply(text.encode(errors="replace").decode(), choice.finish_reason or "")
    except (AttributeError, IndexError, TypeError):
        return NO_PROTOCOL


def _without(secret: str, text: str) -> str:
    """The text without the key of the API, which a server may repeat."""
    return text.replace(secret, "...") if secret else text
