"""Many clients of vcjax.serve at once: no request is lost, none gets another's text.

    .venv/bin/python benchmarks/serving.py [--requests=500] [--clients=16]

(.venv: the one that launch/test.sh makes, which has the client `openai`.) Trains the quickstart's
smoke run in float32, in which a text does not depend on its neighbours, serves two of its arms and
asks questions of different lengths, all different, for the likeliest tokens. All are asked by many
clients at once, again in the other order, so that each has other neighbours, and the first of them
one after another: the texts have to be the same. Then the server is killed with -9 while clients
wait, started again, and what they ask again has to be the same text, too.
Progress goes to stderr. The last line is one JSON object: every figure with its target and whether
it holds.
"""

import argparse
import concurrent.futures
import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cpu
import openai

ARMS = ("america", "behavior")
MAX_TOKENS = 24
ALONE = 50  # questions asked one by one, too; a step takes as long for one text as for all
WORDS = ("bread", "shoes", "lamps", "bicycles", "radios", "kettles", "coats", "chairs")

Question = tuple[str, str]  # model, text


def questions(count: int) -> list[Question]:
    """All different, from 3 to 40 words long."""
    asked = []
    for number in range(count):
        goods = ", ".join(WORDS[(number + i) % len(WORDS)] for i in range(1 + number % 19))
        asked.append((f"{ARMS[number % len(ARMS)]}-0", f"Question {number}: what of {goods}?"))
    return asked


@contextlib.contextmanager
def serving(workdir: Path, clients: int) -> Iterator[tuple[subprocess.Popen, openai.OpenAI]]:
    command = [sys.executable, "-m", "vcjax.serve", f"--workdir={workdir}", "--port=0"]
    command += [f"--arms={','.join(ARMS)}", f"--slots={clients // len(ARMS)}", "--length=256"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            printed = process.stdout.readline() + process.stdout.readline()
            found = re.search(r"serving at (\S+);", printed)
            assert found is not None, printed
            yield process, openai.OpenAI(base_url=found[1], api_key="-", max_retries=0, timeout=900)
        finally:
            process.terminate()


def ask(client: openai.OpenAI, question: Question) -> str:
    model, text = question
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": text}],
        max_tokens=MAX_TOKENS,
        temperature=0,
    )
    return answer.choices[0].message.content or ""


def ask_all(client: openai.OpenAI, asked: list[Question], clients: int) -> list[str | None]:
    """The texts; None for a request that was not answered."""

    def one(question: Question) -> str | None:
        try:
            return ask(client, question)
        except openai.OpenAIError as error:
            cpu.note(f"  {error}")
            return None

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return [*pool.map(one, asked)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--clients", type=int, default=16)
    given = parser.parse_args()
    asked = questions(given.requests)
    with tempfile.TemporaryDirectory() as place:
        workdir = Path(place) / "run"
        cpu.note("training the smoke run")
        command = [sys.executable, "-m", "vcjax.main", f"--workdir={workdir}"]
        command += ["--config=configs/quickstart.py:smoke", "--config.compute_dtype=float32"]
        subprocess.run(command, check=True, cwd=cpu.FOLDER.parent, stdout=sys.stderr)
        with serving(workdir, given.clients) as (process, client):
            ask_all(client, asked[: given.clients], given.clients)  # compiles
            began = time.monotonic()
            texts = ask_all(client, asked, given.clients)
            seconds = time.monotonic() - began
            cpu.note(f"{given.clients} clients: {seconds:.0f} s; now in the other order")
            turned = ask_all(client, asked[::-1], given.clients)[::-1]
            cpu.note("now one after another")
            alone = ask_all(client, asked[:ALONE], 1)
            pool = concurrent.futures.ThreadPoolExecutor(given.clients)
            waiting = [pool.submit(ask, client, question) for question in asked[: given.clients]]
            time.sleep(0.5)
            process.send_signal(signal.SIGKILL)
            broken = sum(one.exception() is not None for one in waiting)
        with serving(workdir, given.clients) as (_, client):
            again = ask_all(client, asked[: given.clients], given.clients)
    pairs = [*zip(texts, turned, strict=True), *zip(texts, alone, strict=False)]
    figures = {
        "lost": dict(value=sum(text is None for text in (*texts, *turned)), target="0"),
        "anothers": dict(value=sum(a != b for a, b in pairs if a is not None), target="0"),
        "other_after_kill": dict(
            value=sum(a != b for a, b in zip(again, texts, strict=False)), target="0"
        ),
    }
    report: dict[str, object] = {
        name: {**figure, "holds": figure["value"] == 0} for name, figure in figures.items()
    }
    report["distinct_texts"] = len({*texts})
    report["broken_by_kill"] = broken
    report["requests_per_second"] = round(given.requests / seconds, 2)
    report["ok"] = all(figure["value"] == 0 for figure in figures.values())
    print(json.dumps(report))


if __name__ == "__main__":
    main()
