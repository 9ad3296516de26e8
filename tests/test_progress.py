"""Lines in a log: the title, the count, the loss, the speed, the time left."""

import re

from vcjax import progress
from vcjax.progress import Progress


def test_lines_where_there_is_no_terminal(monkeypatch, capsys):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    shown = Progress("america, seed 0", total=6, done=2)
    for _ in range(4):
        shown.update(tokens=500, loss=2.5)
    shown.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("america, seed 0: update 6/6, loss 2.500, ")
    assert re.search(r"\d+ tokens/s, 0 s left$", lines[-1])


def test_the_first_update_is_left_out_of_the_speed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = Progress("x", total=3, done=0)
    now[0] = 100.0  # it compiled
    shown.update(tokens=500, loss=None)
    assert shown.tokens_per_second() == 0
    now[0] = 102.0
    shown.update(tokens=500, loss=None)
    assert shown.tokens_per_second() == 250
