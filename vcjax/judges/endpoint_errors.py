"""What an error of an endpoint means: ask again, end the judging, or give up one answer.

The errors are those of the client `openai`. Of its server's words only what may be shown is used:
a server may repeat the key that it refuses.
"""

import email.utils
import math
import time
from collections.abc import Mapping
from typing import Any

LONGEST_WAIT = 300.0  # seconds; whoever asks to wait longer ends the judging
MOST_SAID = 200  # characters of what a server says
NO_CONNECTION = 0  # in the place of an HTTP status


def may_pass(error: BaseException) -> bool:
    """Whether the same request may be answered later: the server is busy, ill or not there."""
    status = _status(error)
    return (
        (status in (NO_CONNECTION, 408, 409, 429) or status >= 500)
        and not _is_spent(error)
        and asked_wait(error) <= LONGEST_WAIT
    )


def asked_wait(error: BaseException) -> float:
    """Seconds that the server asks to wait, by its header Retry-After: a number, or a date."""
    response = getattr(error, "response", None)
    value = "" if response is None else response.headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return 0.0 if math.isnan(seconds) else max(seconds, 0.0)


def ending(error: BaseException, settings: Mapping[str, Any]) -> str | None:
    """What to tell where no other request would do better; None where the error is of one request.

    error: one that did not pass. settings: config.judge.
    """
    status, wait = _status(error), asked_wait(error)
    url, variable = settings["url"], settings["key"]
    who = f"the key in the environment variable {variable}" if variable else "requests without key"
    if status in (401, 403):
        return (
            f"config.judge.key: {url} refuses {who} (HTTP {status}); give the name of an "
            f"environment variable with a key that may use {settings['model']!r}"
        )
    if _is_spent(error):
        return f"config.judge.key: {url} says that the quota of {who} is spent (HTTP {status})"
    if status == 404:
        return (
            f"config.judge.url: {url} has no chat completions of config.judge.model="
            f"{settings['model']!r} (HTTP 404); a base URL often ends in /v1"
        )
    if status == 429 or wait > LONGEST_WAIT:
        asked = f", for {wait:,.0f} s" if wait else ""
        return (
            f"config.judge.url: {url} says to wait{asked} (HTTP {status}); start the same command "
            "later, or lower config.judge.requests"
        )
    if status == NO_CONNECTION:
        reason = error.__cause__ or error
        return f"config.judge.url: {url} does not answer ({reason}); does it run, and is it there?"
    return None


def reason(error: BaseException) -> str:
    """Why one answer has no judgement, in a few words."""
    _, _, said = str(error).partition(" - ")  # before it the client says the status
    return f"HTTP {_status(error)}{': ' if said else ''}{' '.join(said.split())}"[:MOST_SAID]


def _status(error: BaseException) -> int:
    return getattr(error, "status_code", NO_CONNECTION)


def _is_spent(error: BaseException) -> bool:
    names = (getattr(error, "code", None), getattr(error, "type", None))
    return _status(error) == 402 or "insufficient_quota" in names
