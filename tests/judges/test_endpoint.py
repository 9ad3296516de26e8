"""A judge behind an endpoint: a stand-in on this machine, asked by the real client over HTTP."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import traceback

import pytest
from judge_endpoint import completion, refusal

from vcjax.errors import InputError
from vcjax.judges import endpoint, store

TEXTS = [f"Rate this: answer {number}" for number in range(10)]
SECRET = "sk-very-secret-0123456789"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "judgements.sqlite"


def number_of(body):
    return int(body["messages"][0]["content"].split("\n")[0].split()[-1])


def scores(judgements):
    return [None if math.isnan(judgement.score) else judgement.score for judgement in judgements]


def test_what_is_asked_and_what_comes_back(stand_in, settings, path):
    stand_in.answer = lambda body: completion(f"Well.\nScore: {number_of(body) + 1}")
    judged = endpoint.judge(TEXTS, settings, path)
    assert scores(judged) == [*range(1, 11)]
    assert judged[2] == (3, "", "Well.\nScore: 3")
    assert sorted(stand_in.texts) == TEXTS
    for body in stand_in.requests:
        [message] = body.pop("messages")
        assert body == dict(model="gpt-x", temperature=0, max_tokens=1024)
        assert message["role"] == "user"
        assert message["content"].endswith(
            '\n\nEnd with a line "Score: N", in which N is a whole number from 1 to 10.'
        )


@pytest.mark.parametrize(
    ("failing", "why", "is_kept"),
    [
        (refusal(500), "HTTP 500: no", False),
        (refusal(400, message="too long"), "HTTP 400: too long", False),
        (completion("I would rather not."), "no score on the last line", True),
        (completion("Score: 1", "length"), "cut off at max_tokens", True),
        (completion(None), "empty reply", True),
        ((200, {}, {"error": "busy"}), endpoint.NO_PROTOCOL, False),
        ((200, {}, "{"), endpoint.NO_PROTOCOL, False),
        ((200, {"Content-Type": "text/html"}, "<html>"), endpoint.NO_PROTOCOL, False),
    ],
)
def test_a_judge_that_fails_half_the_time_changes_counts_and_no_scores(
    failing, why, is_kept, stand_in, settings, path
):
    def answer(body):
        return failing if number_of(body) % 2 else completion(f"Score: {number_of(body) + 1}")

    stand_in.answer = answer
    for _ in range(2):
        judged = endpoint.judge(TEXTS, settings, path)
        assert scores(judged) == [1, None, 3, None, 5, None, 7, None, 9, None]
        assert [j.failure for j in judged] == ["", why] * 5
    asked_once = [*TEXTS[::2], *(TEXTS[1::2] if is_kept else ())]
    assert all(stand_in.texts.count(text) == 1 for text in asked_once)
    with store.opened(path) as kept:
        assert store.count(kept) == len(asked_once)


def test_a_server_that_is_ill_for_a_while_is_asked_again(stand_in, settings, path):
    def answer(body):
        return completion("Score: 5") if len(stand_in.requests) > 2 else refusal(503)

    stand_in.answer = answer
    assert scores(endpoint.judge(TEXTS[:1], settings, path)) == [5]
    assert len(stand_in.requests) == 3


def test_retry_after_is_waited_for(stand_in, settings, path):
    def answer(body):
        busy = refusal(429, {"Retry-After": "0.4"}, code="rate_limit_exceeded")
        return completion("Score: 5") if len(stand_in.requests) > 1 else busy

    stand_in.answer = answer
    assert scores(endpoint.judge(TEXTS[:1], settings, path)) == [5]
    first, second = stand_in.times
    assert second - first >= 0.4


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, dict(code="invalid_api_key")),
        (403, {}),
        (402, {}),
        (429, dict(code="insufficient_quota")),
        (429, dict(type="insufficient_quota")),
    ],
)
def test_a_wrong_key_or_a_spent_quota_stops_at_once_and_shows_no_key(
    status, error, stand_in, settings, path, monkeypatch, capfd
):
    monkeypatch.setenv("JUDGE_KEY", f"{SECRET}\n")  # as of a file
    settings |= dict(key="JUDGE_KEY", requests=1)

    def answer(body):
        spent = refusal(status, message=f"not with {SECRET}", **error)
        return spent if number_of(body) == 3 else completion(f"Score: {number_of(body) + 1}")

    stand_in.answer = answer
    with pytest.raises(InputError) as refused:
        endpoint.judge(TEXTS, settings, path)
    assert stand_in.headers[0]["authorization"] == f"Bearer {SECRET}"
    assert stand_in.texts == TEXTS[:4]
    message = str(refused.value)
    assert message.startswith("config.judge.key: ") and "variable JUDGE_KEY" in message
    assert message.endswith("; 3 judgements are kept") and "\n" not in message
    shown = [*capfd.readouterr(), *traceback.format_exception(refused.value)]
    assert SECRET not in "".join(shown)
    assert SECRET.encode() not in path.read_bytes()

    stand_in.answer = lambda body: completion(f"Score: {number_of(body) + 1}")
    assert scores(endpoint.judge(TEXTS, settings, path)) == [*range(1, 11)]
    assert sorted(stand_in.texts) == sorted([*TEXTS, TEXTS[3]])


def test_a_failure_of_one_answer_shows_no_key(stand_in, settings, path, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", SECRET)
    stand_in.answer = lambda body: (
        refusal(400, message=f"bad {SECRET}") if number_of(body) else completion("Score: 5")
    )
    judged = endpoint.judge(TEXTS[:2], settings | dict(key="JUDGE_KEY"), path)
    assert judged[1].failure == "HTTP 400: bad ..."


@pytest.mark.parametrize(("value", "why"), [(None, "is not set"), ("a\u00e9", "holds characters")])
def test_a_key_that_cannot_be_one_is_refused_before_anything_is_sent(
    value, why, stand_in, settings, path, monkeypatch
):
    if value:
        monkeypatch.setenv("JUDGE_KEY", value)
    with pytest.raises(InputError, match=f"environment variable JUDGE_KEY {why}"):
        endpoint.judge(TEXTS, settings | dict(key="JUDGE_KEY"), path)
    assert not stand_in.requests


def test_without_a_key_none_is_sent(stand_in, settings, path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    endpoint.judge(TEXTS[:1], settings, path)
    assert SECRET not in str(stand_in.headers)


def test_what_is_kept_needs_no_endpoint_no_key_and_no_package(
    stand_in, settings, path, monkeypatch
):
    monkeypatch.setenv("JUDGE_KEY", SECRET)
    settings |= dict(key="JUDGE_KEY")
    first = endpoint.judge(TEXTS, settings, path)
    monkeypatch.delenv("JUDGE_KEY")
    monkeypatch.setitem(sys.modules, "openai", None)
    assert endpoint.judge(TEXTS, settings, path) == first
    assert len(stand_in.requests) == len(TEXTS)
    with pytest.raises(InputError, match=r"package openai is not .* pip install 'vcjax\[judge\]'"):
        endpoint.judge(["another"], settings, path)


@pytest.mark.parametrize("change", [dict(model="gpt-y"), dict(max_tokens=7)])
def test_another_request_gets_no_kept_reply(change, stand_in, settings, path):
    endpoint.judge(TEXTS[:3], settings, path)
    endpoint.judge(TEXTS[:3], settings | change, path)
    assert len(stand_in.requests) == 6


def test_no_connection_ends_it_and_says_what_is_kept(stand_in, settings, path):
    endpoint.judge(TEXTS[:3], settings, path)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(InputError) as refused:
        endpoint.judge(TEXTS, settings | dict(url=f"http://127.0.0.1:{port}/v1"), path)
    message = str(refused.value)
    assert message.startswith(f"config.judge.url: http://127.0.0.1:{port}/v1 does not answer (")
    assert message.endswith("; 3 judgements are kept")


def test_an_unknown_model_and_a_limit_that_stays_end_it(stand_in, settings, path):
    stand_in.answer = lambda body: refusal(404)
    with pytest.raises(InputError, match=r"config\.judge\.url: .* config\.judge\.model='gpt-x' \("):
        endpoint.judge(TEXTS, settings, path)
    stand_in.answer = lambda body: refusal(429)
    with pytest.raises(InputError, match=r"says to wait \(HTTP 429\); .*config\.judge\.requests"):
        endpoint.judge(TEXTS, settings, path)


def test_an_endpoint_that_gives_no_judgement_at_all_is_an_error(stand_in, settings, path):
    stand_in.answer = lambda body: refusal(400, message="use max_completion_tokens")
    with pytest.raises(InputError, match="no judgement at all: HTTP 400: use max_completion_tok"):
        endpoint.judge(TEXTS, settings, path)


def test_a_judge_that_answers_in_prose_alone_is_an_error(stand_in, settings, path):
    stand_in.answer = lambda body: completion("A fine answer, I would say.")
    with pytest.raises(InputError, match=r"judged none of 10 answers; .*: no score on the last li"):
        endpoint.judge(TEXTS, settings, path)
    with store.opened(path) as kept:
        assert store.count(kept) == len(TEXTS)


PROCESS = textwrap.dedent("""
    import json, sys
    from pathlib import Path
    from vcjax.judges import endpoint
    from vcjax.workdir import preemption

    preemption.watch()
    texts, settings, path = json.loads(sys.argv[1])
    endpoint.judge(texts, settings, Path(path))
""")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_arrived_before_a_stop_is_asked_for_once(number, stand_in, settings, path):
    stopped = threading.Event()

    def answer(body):
        if number_of(body) >= 5:  # these wait until the process is gone
            stopped.wait(30)
        return completion(f"Score: {number_of(body) + 1}")

    stand_in.answer = answer
    command = [sys.executable, "-c", PROCESS, json.dumps([TEXTS, settings, str(path)])]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while len(stand_in.requests) < 7:  # two at once, so the first five were stored
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    stopped.set()
    assert process.returncode == {signal.SIGTERM: 75}.get(number, -number)
    assert "never retrieved" not in errors and "pending" not in errors
    before = len(stand_in.requests)

    assert scores(endpoint.judge(TEXTS, settings, path)) == [*range(1, 11)]
    assert sorted(stand_in.texts[before:]) == TEXTS[5:]
