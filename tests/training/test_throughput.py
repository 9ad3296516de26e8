"""Speed from a clock that the test sets; what it takes; goodput over processes."""

import types

import jax
import numpy as np
import pytest
import tiny

from vcjax.models.lora import LoRA
from vcjax.training import throughput
from vcjax.training.throughput import PEAK_FLOPS, Speed
from vcjax.workdir.files import read_json


class Clock:
    """Seconds since the epoch and since anything, together."""

    def __init__(self):
        self.now = 1000.0

    def time(self):
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(throughput, "time", clock)
    return clock


LORA = LoRA(4, 8)


def a_speed(path, mesh=None):
    return Speed(path, tiny.ARCHITECTURE, LORA, mesh or tiny.device_mesh("cpu"))


def batches(clock, count, wait=0.25):
    """Each of 6 tokens, 2 of them with weight, and ready after so many seconds."""
    for _ in range(count):
        clock.now += wait
        segment_ids = np.array([[1, 1, 1, 2], [1, 1, 0, 0]])
        loss_weights = np.array([[0.0, 0.5, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
        yield {"segment_ids": segment_ids, "loss_weights": loss_weights}


def work(measured, clock, first, last, seconds=0.75):
    """Updates first to last, each of so many seconds on the device; returns the last figures."""
    for step, _ in enumerate(measured.batches(batches(clock, last - first + 1)), start=first):
        clock.now += seconds
        if step in (first, last):
            figures = measured.fetched(step)
    return figures


def test_the_speed_of_a_window_leaves_out_the_update_that_compiles(clock, tmp_path):
    measured = a_speed(tmp_path / "speed.json")
    measured.resume(0)
    for step, _ in enumerate(measured.batches(batches(clock, 5)), start=1):
        clock.now += 100 if step == 1 else 0.75
        if step == 1:
            assert measured.fetched(step).keys() == {"peak_memory_gb"}
            clock.now += 50  # an evaluation
        if step == 3:
            figures = measured.fetched(step)
            clock.now += 50  # a checkpoint
    assert figures["step_seconds"] == 1
    assert figures["tokens_per_second"] == 6
    assert figures["input_wait"] == 0.25
    assert figures["goodput"] == pytest.approx(3 / 152.25)
    assert "mfu" not in figures, "a CPU has no published peak"
    assert measured.fetched(5)["step_seconds"] == 1
    assert measured.figures(5)["goodput"] == pytest.approx(5 / 204.25)


def test_mfu_counts_what_the_model_needs_on_all_devices(clock, tmp_path):
    measured = a_speed(tmp_path / "speed.json", tiny.device_mesh(tiny.H100, 4))
    figures = work(measured, clock, 1, 3)
    flops = tiny.ARCHITECTURE.train_flops(LORA, tokens=6, weighted_tokens=2)
    assert figures["mfu"] == pytest.approx(flops / (4 * PEAK_FLOPS[tiny.H100]))
    assert measured.figures(3)["mfu"] == pytest.approx(figures["mfu"])


def test_goodput_counts_lost_updates_and_the_time_between_processes(clock, tmp_path):
    path = tmp_path / "speed.json"
    measured = a_speed(path)
    measured.resume(0)
    work(measured, clock, 1, 4)
    measured.save(4)
    work(measured, clock, 5, 6, seconds=9.75)  # lost: killed before the next checkpoint
    clock.now += 80
    measured = a_speed(path)
    measured.resume(4)
    work(measured, clock, 5, 8)
    measured.save(8)
    figures = measured.figures(8)
    assert figures["step_seconds"] == 1, "three updates of each process; none that was lost"
    assert figures["goodput"] == pytest.approx(8 / (clock.now - 1000))
    assert len(read_json(path)["starts"]) == 2
    measured = a_speed(path)  # killed between the last update and the end of the stage
    measured.resume(8)
    assert measured.figures(8)["step_seconds"] == 1


def test_a_stage_that_starts_over_forgets_the_sums_but_not_the_time(clock, tmp_path):
    path = tmp_path / "speed.json"
    measured = a_speed(path)
    measured.resume(0)
    work(measured, clock, 1, 4, seconds=9.75)
    clock.now += 60
    measured = a_speed(path)
    measured.resume(0)
    assert measured.figures(0).keys() == {"peak_memory_gb"}
    figures = work(measured, clock, 1, 4)
    assert figures["step_seconds"] == 1
    assert figures["goodput"] == pytest.approx(4 / 104)


def test_peak_memory_is_that_of_the_fullest_device_or_of_the_process(monkeypatch):
    assert 0.01 < throughput.peak_memory_gb() < 100
    counts = [{"peak_bytes_in_use": 2e9}, None, {"peak_bytes_in_use": 5e9}, {}]
    devices = [types.SimpleNamespace(memory_stats=lambda c=c: c) for c in counts]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    assert throughput.peak_memory_gb() == 5


def test_training_is_expected_to_reach_a_share_of_a_known_peak():
    h100s = tiny.device_mesh(tiny.H100, 4)
    assert (
        throughput.expected_flops(h100s, "bfloat16")
        == throughput.OF_PEAK * 4 * PEAK_FLOPS[tiny.H100]
    )


@pytest.mark.parametrize("compute_dtype", ["bfloat16", "float32"])
def test_what_a_cpu_may_reach_is_timed(compute_dtype):
    assert 1e9 < throughput.expected_flops(tiny.device_mesh("cpu"), compute_dtype) < 1e14
