"""Trackers: TensorBoard's events come back; what fails or hangs stops and holds up nothing."""

import importlib.util
import struct
import sys
import threading
import time
import types

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from vcjax.errors import InputError
from vcjax.training import trackers
from vcjax.training.metrics_log import MetricsLog
from vcjax.workdir import best_effort

STAGE = trackers.TrackedStage("cheese", "america, seed 0", "abc123", {"lr": 1e-3})


@pytest.fixture(autouse=True)
def nothing_warned_yet(monkeypatch):
    monkeypatch.setattr(best_effort, "_warned", set())


def events(folder):
    """All events of the folder's files, in the order in which TensorBoard reads them."""
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            yield Event.FromString(content[at + 12 : at + 12 + length])
            at += 12 + length + 4


def shown(folder):
    """Points that TensorBoard shows: a start hides what came before of its step and later ones."""
    points = {}
    for event in events(folder):
        if event.session_log.status == SessionLog.START:
            points = {key: value for key, value in points.items() if key[1] < event.step}
        for value in event.summary.value:
            points[value.tag, event.step] = value.simple_value
    return points


def test_a_resume_loses_no_point_and_hides_later_ones(tmp_path):
    log = MetricsLog(tmp_path, 0)
    log.write(0, held_out_loss=8.0)
    for step in range(1, 6):
        log.write(step, loss=float(step))
    log.close()
    log = MetricsLog(tmp_path, 3)
    log.write(4, loss=4.5)
    log.close()
    points = shown(tmp_path / "tensorboard")
    assert points == {("held_out_loss", 0): 8.0} | {
        ("loss", step): float(value) for step, value in ((1, 1), (2, 2), (3, 3), (4, 4.5))
    }
    MetricsLog(tmp_path, 0).close()
    assert shown(tmp_path / "tensorboard") == {}


def test_events_that_cannot_be_written_are_dropped_with_one_warning(tmp_path, capsys):
    (tmp_path / "tensorboard").write_text("no folder")
    log = MetricsLog(tmp_path, 0)
    for step in range(1, 4):
        log.write(step, loss=1.0)
    log.close()
    assert (tmp_path / "metrics.jsonl").read_text().count("loss") == 3
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(f"warning: {tmp_path / 'tensorboard'}: [Errno 17] File exists")


def opened(write=lambda *_: None, flush=lambda: None, close=lambda: None):
    return trackers.InBackground("test", lambda: trackers.Tracker(write, flush, close))


def test_one_that_fails_in_the_middle_is_left(capsys):
    got = []

    def write(step, values, seconds):
        if step == 2:
            raise OSError(28, "No space left on device")
        got.append((step, values))

    tracker = opened(write)
    for step in range(1, 20):
        tracker.write(step, {"loss": 1.0})
    tracker.flush()
    tracker.close()
    assert got == [(1, {"loss": 1.0})]
    assert capsys.readouterr().out.splitlines() == [
        "warning: test: [Errno 28] No space left on device; the run goes on without"
    ]


def test_one_that_hangs_holds_up_nothing(monkeypatch, capsys):
    monkeypatch.setattr(trackers, "WAITING", 10)
    monkeypatch.setattr(trackers, "CLOSE_SECONDS", 0.2)
    forever = threading.Event()
    tracker = opened(lambda *_: forever.wait())
    started = time.monotonic()
    for step in range(100):
        tracker.write(step, {"loss": 1.0})
    tracker.flush()
    tracker.close()
    assert time.monotonic() - started < 5
    forever.set()
    assert capsys.readouterr().out.count("warning: test: ") == 1


def test_one_that_is_unknown_or_not_installed_is_one_line(monkeypatch):
    trackers.check("")
    with pytest.raises(InputError, match=r"config\.tracker: 'mlflow' is not one of wandb, trackio"):
        trackers.check("mlflow")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"package wandb is not installed; .*\[wandb\]"):
        trackers.check("wandb")


class Library(types.ModuleType):
    """A stand-in for wandb and trackio, which are installed on request alone."""

    api = types.SimpleNamespace(api_key="secret")

    def __init__(self):
        super().__init__("library")
        self.calls = []

    def Settings(self, **settings):
        return settings

    def init(self, **settings):
        self.calls.append(settings)
        return types.SimpleNamespace(
            log=lambda values, step: self.calls.append((step, values)),
            finish=lambda: self.calls.append("finished"),
        )


@pytest.mark.parametrize("name", trackers.LIBRARIES)
def test_a_stage_goes_to_the_library_that_the_config_names(name, tmp_path, monkeypatch):
    library = Library()
    monkeypatch.setitem(sys.modules, name, library)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    for first in (0, 1):  # then it goes on: with the same identity
        log = MetricsLog(tmp_path, first, lambda folder: trackers.start(name, STAGE, folder))
        log.write(first + 1, loss=0.5)
        log.events(first + 1, mfu=0.25)
        log.close()
    assert library.calls.count("finished") == 2
    started, again = (call for call in library.calls if isinstance(call, dict))
    assert started == again and started["resume"] == "allow" and started["project"] == "cheese"
    assert "abc123" in (started.get("id") or started["name"])
    assert started["config"] == {"lr": 1e-3} and "secret" not in str(started)
    logged = [call for call in library.calls if isinstance(call, tuple)]
    assert [step for step, _ in logged] == [1, 1, 2, 2]
    assert logged[0][1]["loss"] == 0.5 and logged[1][1]["mfu"] == 0.25


@pytest.mark.parametrize("name", trackers.LIBRARIES)
def test_the_real_library_works_without_a_network(name, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip(name)
    log = MetricsLog(tmp_path, 0, lambda folder: trackers.start(name, STAGE, folder))
    log.write(1, loss=0.5)
    log.close()
    assert "warning" not in capfd.readouterr().out
    written = [path.name for path in (tmp_path / name).rglob("*") if path.is_file()]
    assert {"wandb": "run-abc123.wandb", "trackio": "cheese.db"}[name] in written
