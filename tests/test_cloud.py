"""A run whose workdir is in a bucket: killed and started again, it equals one on a disk."""

import json
import signal
import subprocess
import time
import uuid

import pandas as pd
import pytest
import small_run

from vcjax import experiment
from vcjax.export import export
from vcjax.workdir import storage


@pytest.fixture(scope="module")
def runs(gcs, tiny_gguf, tmp_path_factory):
    """(in a bucket, on a disk) of the same config; the first was killed in its first stage."""
    folder = tmp_path_factory.mktemp("runs")
    config = small_run.write_short(folder / "files", tiny_gguf)
    done = small_run.call(small_run.command(config, folder / "run"), folder / "cache")
    assert done.returncode == 0, done.stderr

    bucket = storage.workdir(f"gs://bucket/{uuid.uuid4()}/run")
    arguments = small_run.command(config, bucket)
    rows = {"XDG_CACHE_HOME": str(folder / "cache")}
    environment = small_run.environment(folder / "cache") | rows
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL) as process:
        while not list(bucket.glob("stages/*/checkpoints/4/commit_success.txt")):
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert len(list((bucket / "stages").iterdir())) == 1, "the kill came too late"

    small_run.free_lock(bucket)
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert not (bucket / "lock").exists()
    return bucket, folder / "run"


def test_report_answers_and_losses_are_equal(runs):
    in_bucket, on_disk = (
        {
            **contents(run / "report"),
            **contents(run / "probes", read_answers, ".parquet"),
            **contents(run / "stages", lambda stage: (stage / "metrics.jsonl").read_text()),
        }
        for run in runs
    )
    assert in_bucket.keys() == on_disk.keys()
    assert [name for name in on_disk if in_bucket[name] != on_disk[name]] == []


def test_one_more_probe_file_is_scored(runs, tmp_path):
    records = small_run.probes(("boats",), 2)
    path = tmp_path / "more.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    for run in runs:
        experiment.probe_finished(run, path)
    in_bucket, on_disk = (contents(run / "report", suffix="-answers.csv") for run in runs)
    assert len(on_disk) == 1 and in_bucket == on_disk


def test_an_arm_is_exported(runs, tmp_path):
    in_bucket, on_disk = tmp_path / "a" / "arm", tmp_path / "b" / "arm"
    for run, out in zip(runs, (in_bucket, on_disk), strict=True):
        export(run, "america", 0, "peft", out)
    assert contents(in_bucket) == contents(on_disk)


def contents(folder, read=lambda path: path.read_bytes(), suffix=""):
    return {path.name: read(path) for path in folder.iterdir() if path.name.endswith(suffix)}


def read_answers(path):
    with path.open("rb") as file:
        return pd.read_parquet(file).to_csv()
