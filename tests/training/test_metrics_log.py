"""metrics.jsonl of an interrupted stage equals that of one that never was."""

import json

import pytest

from vcjax.training import metrics_log
from vcjax.training.metrics_log import MetricsLog


def steps(folder):
    return [
        json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]


def test_what_came_after_the_checkpoint_is_forgotten(tmp_path):
    log = MetricsLog(tmp_path, 0)
    for step in range(1, 6):
        log.write(step, loss=1.0 / step)
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # a kill cut it
    log = MetricsLog(tmp_path, 3)
    log.write(4, loss=0.25)
    log.close()
    assert steps(tmp_path) == [1, 2, 3, 4]


def test_a_stage_that_starts_over_starts_an_empty_file(tmp_path):
    log = MetricsLog(tmp_path, 0)
    log.write(0, held_out_loss=2.0)
    log.close()
    MetricsLog(tmp_path, 0).close()
    assert steps(tmp_path) == []


def test_tensorboard_events_are_written(tmp_path):
    log = MetricsLog(tmp_path, 0)
    log.write(1, loss=1.0)
    log.events(1, tokens_per_second=100.0)
    log.close()
    [events] = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"loss" in content and b"tokens_per_second" in content
    assert b"tokens_per_second" not in (tmp_path / "metrics.jsonl").read_bytes()


def test_in_a_bucket_they_are_there_when_a_checkpoint_is_saved(bucket):
    log = MetricsLog(bucket, 0)
    log.write(1, loss=1.0)
    log.save()
    assert steps(bucket) == [1]
    log.write(2, loss=0.5)  # then it is killed
    log = MetricsLog(bucket, 1)
    log.write(2, loss=0.25)
    log.close()
    assert (bucket / "metrics.jsonl").read_text().splitlines()[1:] == ['{"step": 2, "loss": 0.25}']
    assert any(b"loss" in events.read_bytes() for events in (bucket / "tensorboard").iterdir())


def log_of(folder, steps):
    log = MetricsLog(folder, 0)
    log.write(0, held_out_loss=2.0)
    for step in range(1, steps + 1):
        log.write(step, loss=1.0 / step)
    log.write(steps, held_out_loss=1.0)
    log.close()
    return folder / "metrics.jsonl"


def test_whole_metrics_have_no_fault(tmp_path):
    path = log_of(tmp_path, 5)
    with path.open("a") as file:
        file.write('{"step": 6, "lo')  # a kill cut it
    assert [metrics_log.fault(tmp_path, step) for step in (1, 3, 5)] == [None] * 3
    assert "the loss of update 6 is not in it" in metrics_log.fault(tmp_path, 6)


def with_nulls(lines, number):
    return [*lines[:number], b"\0" * 20 + b"\n", *lines[number:]]


def test_damaged_metrics_serve_the_checkpoints_before_the_damage(tmp_path):
    path = log_of(tmp_path, 5)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(with_nulls(lines, 4)))  # after the line of update 3
    assert metrics_log.fault(tmp_path, 2) is None
    assert metrics_log.fault(tmp_path, 3) == f"{path} is damaged (line 5)"
    assert "the loss of update 4" in metrics_log.fault(tmp_path, 5)
    MetricsLog(tmp_path, 2).close()
    assert steps(tmp_path) == [0, 1, 2]


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\n", b"[]\n", b'{"step": null}\n'])
def test_metrics_without_a_whole_line_serve_none(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.jsonl").write_bytes(content)
    assert "the loss of update 1 is not in it" in metrics_log.fault(tmp_path, 3)
