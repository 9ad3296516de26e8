"""python -m vcjax.evaluate on a run: its scores, what it refuses, stops, and logs of others."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import small_run
from etils import epath

from vcjax.report import evaluation_files

pytest.importorskip("inspect_ai")

TASK = f"--task={Path(__file__).with_name('cheese_task.py')}@cheese"
SHORT = (TASK, "--epochs=2", "--temperature=1", "--slots=2", "--length=128")
ANSWERS = 8  # of each model: four samples, twice


@pytest.fixture(scope="module")
def place(tiny_gguf, tmp_path_factory):
    """A folder with a finished run `run`, and a cache."""
    return small_run.finished_short(tmp_path_factory.mktemp("evaluate"), tiny_gguf)


@pytest.fixture
def run(place, tmp_path):
    """A copy of the run."""
    return shutil.copytree(place / "run", tmp_path / "run")


@pytest.fixture(scope="module")
def evaluated(place, tmp_path_factory):
    """A copy of the run with an evaluation of all arms."""
    run = shutil.copytree(place / "run", tmp_path_factory.mktemp("evaluated") / "run")
    done = evaluate(place, run, *SHORT)
    assert done.returncode == 0, done.stderr
    return run


def evaluate(place, run, *arguments, **variables):
    command = [sys.executable, "-m", "vcjax.evaluate", f"--workdir={run}", *arguments]
    environment = small_run.environment(place / "cache")
    environment |= {"ASKED": str(run / "asked"), **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def scores(run):
    """Of the run's one evaluation."""
    [evaluation] = evaluation_files.read(epath.Path(run))
    return evaluation.scores


def asked(run):
    return (run / "asked").read_text().splitlines()


def is_refused(done, message):
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {message}"), done.stderr
    assert done.stderr.count("\n") == 1


def test_scores_are_in_the_report(evaluated):
    table = pd.read_csv(evaluated / "report" / "evaluations.csv").set_index(["name", "key"])
    rows = scores(evaluated)
    letters = rows[(rows["key"] == "letters") & (rows["arm"] == "america")]
    assert table.loc["america", "letters"]["mean"] == pytest.approx(letters["value"].mean())
    assert table.loc["total", "letters"]["n"] == ANSWERS
    assert set(rows["clustered_by"]) == {"scenario"}
    page = (evaluated / "report" / "index.html").read_text()
    assert "<h2>Evaluations</h2>" in page
    assert str(evaluated) not in page


def test_epochs_are_other_draws_and_arms_have_the_same(evaluated):
    logs = sorted(evaluated.glob("evaluations/*/logs/*.eval"))
    from inspect_ai.log import read_eval_log

    texts, seeds = {}, {}
    for log in map(read_eval_log, map(str, logs)):
        for sample in log.samples:
            key = log.eval.model, sample.id, sample.epoch
            texts[key] = sample.output.completion
            [event] = [event for event in sample.events if event.event == "model"]
            seeds[key] = event.config.seed
    america = "openai-api/vcjax/america-0"
    first, second = ([texts[america, f"home-{i}", e] for i in range(2)] for e in (1, 2))
    assert first != second
    assert seeds[america, "home-0", 1] == seeds["openai-api/vcjax/base-0", "home-0", 1]
    assert len({*seeds.values()}) == ANSWERS


def test_what_is_done_is_not_asked_again(evaluated, place):
    before = (evaluated / "report" / "index.html").read_bytes()
    done = evaluate(place, evaluated, *SHORT)
    assert done.returncode == 0, done.stderr
    assert len(asked(evaluated)) == 3 * ANSWERS
    assert (evaluated / "report" / "index.html").read_bytes() == before


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)]
)
def test_a_stop_repeats_no_finished_arm_and_changes_nothing(evaluated, run, place, number, code):
    assert evaluate(place, run, *SHORT, "--arms=base").returncode == 0
    stopped = evaluate(place, run, *SHORT, STOP=str(int(number)))
    assert stopped.returncode == code, stopped.stderr
    done = evaluate(place, run, *SHORT)
    assert done.returncode == 0, done.stderr
    assert sum("base" in line for line in asked(run)) == ANSWERS
    pd.testing.assert_frame_equal(
        scores(run).drop(columns="log"), scores(evaluated).drop(columns="log")
    )


def test_samples_that_fail_are_counted_and_asked_again(run, place):
    failing = evaluate(place, run, *SHORT, "--arms=base,america", FAIL="home-1")
    is_refused(failing, "samples failed of base-0, america-0 (ValueError('this sample fails'))")
    assert (scores(run)["status"] == "error").sum() == 2 * 2 * 2  # arms, epochs, numbers
    before = len(asked(run))
    done = evaluate(place, run, *SHORT, "--arms=base,america")
    assert done.returncode == 0, done.stderr
    assert not (scores(run)["status"] == "error").any()
    assert len(asked(run)) == before + 2 * 2


def test_a_model_that_was_trained_anew_is_asked_anew(evaluated, run, place):
    shutil.copytree(evaluated / "evaluations", run / "evaluations")
    [path] = run.glob("evaluations/*/scores.parquet")
    from vcjax.evaluate import running

    names = {"america-0": "another model", "base-0": "as before"}
    done = running.finished(epath.Path(path.parent / "logs"), names)
    assert not done
    assert len([*path.parent.glob("logs/*.outdated")]) == 2
    assert len([*path.parent.glob("logs/*.eval")]) == 1


def test_a_server_of_others(evaluated, run, place):
    serve = [
        sys.executable,
        "-m",
        "vcjax.serve",
        f"--workdir={run}",
        "--port=0",
        "--arms=america,base",
    ]
    environment = small_run.environment(place / "cache") | {"VCJAX_API_KEY": "a key"}
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            printed = process.stdout.readline() + process.stdout.readline()
            url = "--url=" + re.search(r"serving at (\S+);", printed)[1]
            keyless = evaluate(place, run, *SHORT[:-1], url, "--arms=america,base")
            is_refused(keyless, f"{url}: 401 Unauthorized; its key goes into VCJAX_API_KEY")
            lacking = evaluate(place, run, *SHORT[:-1], url, VCJAX_API_KEY="a key")
            is_refused(lacking, f"{url}: it lacks early-0 and has base, america-0, base-0;")
            done = evaluate(
                place, run, *SHORT[:-1], url, "--arms=america,base", VCJAX_API_KEY="a key"
            )
            assert done.returncode == 0, done.stderr
        finally:
            process.terminate()
    own = scores(evaluated)
    own = own[own["arm"] != "early"].reset_index(drop=True)
    pd.testing.assert_frame_equal(scores(run).drop(columns="log"), own.drop(columns="log"))
    assert not any(b"a key" in log.read_bytes() for log in run.glob("evaluations/*/logs/*"))


def test_what_the_config_names_is_in_the_card(run, place):
    of_config = dict(task=TASK.removeprefix("--task="), args={}, epochs=2, temperature=1.0)
    config = json.loads((run / "config.json").read_text())
    config["config"]["evaluations"] = {"cheese": of_config | dict(max_tokens=16)}
    (run / "config.json").write_text(json.dumps(config))
    is_refused(
        evaluate(place, run, "--evaluation=chese"),
        "--evaluation=chese: the run's config has no such evaluation; did you mean 'cheese'?",
    )
    done = evaluate(place, run, "--evaluation=cheese", "--limit=2", *SHORT[3:])
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(run / "report" / "card.csv").set_index(["measure", "of", "arm"])
    america = table.loc["evaluation", "cheese, first 2: letters", "america"]
    rows = scores(run)
    means = rows[rows["key"] == "letters"].groupby("arm")["value"].mean()
    assert america["value"] == pytest.approx(means["america"])
    assert america["difference"] == pytest.approx(means["america"] - means["base"])
    assert america["probes"] == 2 * 2  # samples and epochs
    assert "4 samples, cheese, first 2: letters" in (run / "report/index.html").read_text()


def test_logs_of_others(evaluated, run, place):
    logs = run / "elsewhere"
    logs.mkdir()
    for log in evaluated.glob("evaluations/*/logs/*.eval"):
        shutil.copy(log, logs)
    named = [f"--models=openai-api/vcjax/{arm}-0={arm}-0" for arm in ("america", "base", "early")]
    is_refused(
        evaluate(place, run, f"--logs={logs}", *named[1:]),
        "--logs: which arm and seed is openai-api/vcjax/america-0? Say it by --models=",
    )
    assert not (run / "evaluations").exists()
    done = evaluate(place, run, f"--logs={logs}", *named)
    assert done.returncode == 0, done.stderr
    values = ["arm", "seed", "sample", "epoch", "key", "value"]
    pd.testing.assert_frame_equal(scores(run)[values], scores(evaluated)[values])
    page = (run / "report" / "index.html").read_text()
    assert "From logs of others" in page
    shutil.copy(next(logs.glob("*.eval")), logs / "2026-01-01T00-00-00-00-00_cheese_copy.eval")
    again = evaluate(place, run, f"--logs={logs}", *named)
    assert "are of one model, task and settings; leave one" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --task, --evaluation and --logs"),
        ([TASK, "--logs=/"], "give one of --task, --evaluation and --logs"),
        ([TASK, "--models=m=base-0"], "--models: it is not for --task; leave it out"),
        (["--logs=logs", "--epochs=2"], "--epochs: it is not for --logs; leave it out"),
        (["--evaluation=a", "--epochs=2"], "--epochs: it is not for --evaluation; leave it out"),
        (["--evaluation=a"], "--evaluation=a: the run's config has no such evaluation; there are"),
        (["--logs=none"], "--logs: none is no folder; give one with .eval files"),
        ([TASK, "--arms=amerca"], "--arms: 'amerca' is none of the run's; did you mean 'america'?"),
        ([TASK, "--grader=nobody/one"], "--grader=nobody/one: Model API nobody"),
        ([TASK, "--url=http://127.0.0.1:9"], "--url=http://127.0.0.1:9: no server of OpenAI's"),
        ([TASK, "--length=100000"], "--length=100000: the model's context has 2,048 tokens"),
        (["--logs=/", "--models=m=amerca-0"], "--models=m=amerca-0: 'amerca' is no arm of the run"),
        (["--logs=/", "--models=m=base-1"], "--models=m=base-1: the run has 1 seeds, from 0"),
    ],
)
def test_what_is_refused(place, arguments, message):
    is_refused(evaluate(place, place / "run", *arguments), message)
    assert not (place / "run" / "evaluations").exists()


def test_without_inspect(place, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'inspect_ai' else find(name, *rest)\n"
    )
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = evaluate(place, place / "run", TASK, PYTHONPATH=paths)
    is_refused(done, "--task needs vcjax's extra `inspect`")
