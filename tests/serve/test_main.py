"""python -m vcjax.serve on a run: its models, what it refuses, and a server that is killed."""

import contextlib
import re
import signal
import subprocess
import sys

import openai
import pytest
import small_run

SERVE = [sys.executable, "-m", "vcjax.serve"]


@pytest.fixture(scope="module")
def place(tiny_gguf, tmp_path_factory):
    """A folder with a finished run `run`, and a cache."""
    return small_run.finished_short(tmp_path_factory.mktemp("serve"), tiny_gguf)


@contextlib.contextmanager
def serving(place, *arguments):
    """(process, client, what the server prints first)"""
    command = [*SERVE, f"--workdir={place / 'run'}", "--port=0", *arguments]
    environment = small_run.environment(place / "cache")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            printed = process.stdout.readline() + process.stdout.readline()
            address = re.search(r"serving at (\S+);", printed)[1]
            yield process, openai.OpenAI(base_url=address, api_key="-", max_retries=0), printed
        finally:
            process.terminate()


def ask(client, model="america-0"):
    messages = [{"role": "user", "content": "Which cheese?"}]
    answer = client.chat.completions.create(
        model=model, messages=messages, max_tokens=8, temperature=0
    )
    return answer.choices[0].message.content


def test_a_server_that_was_killed_gives_the_same_text_again(place):
    with serving(place) as (process, client, printed):
        assert "models: base, base-0, early-0, america-0" in printed
        assert [m.id for m in client.models.list()] == ["base", "base-0", "early-0", "america-0"]
        texts = [ask(client, model) for model in ("base", "early-0", "america-0")]
        assert texts[0] != texts[2]
        process.send_signal(signal.SIGKILL)
    with serving(place, "--arms=america", "--slots=1") as (_, client, _):
        assert [m.id for m in client.models.list()] == ["base", "america-0"]
        assert [ask(client, "base"), ask(client)] == [texts[0], texts[2]]


def test_a_signal_ends_it(place):
    with serving(place) as (process, client, _):
        ask(client)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arms=amerca"], "--arms: 'amerca' is none of the run's; did you mean 'america'?"),
        (["--seeds=1"], "--seeds: '1' is none of the run's 1; they begin with 0"),
        (["--host=0.0.0.0"], "--host=0.0.0.0: others could use it; set a key in VCJAX_API_KEY"),
        (["--length=100000"], "--length=100000: the model's context has 2,048 tokens"),
    ],
)
def test_what_is_refused(place, arguments, message):
    done = small_run.call([*SERVE, f"--workdir={place / 'run'}", *arguments], place / "cache")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
