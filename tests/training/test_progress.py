"""Lines in a log: the title, the count, the loss, the speed, the time left."""

from vcjax.training import progress
from vcjax.training.progress import Progress, describe


def test_lines_where_there_is_no_terminal(monkeypatch, capsys):
    clock = iter([0.0, 10.0, 20.0, 30.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown = Progress("america, seed 0", total=6, done=2)
    for _ in range(4):
        shown.update({"loss": 2.5, "tokens_per_second": 1234.5, "goodput": 0.5})
    shown.close()
    assert capsys.readouterr().out.splitlines() == [
        "america, seed 0: update 4/6, loss 2.500, 1,234 tokens/s, 20 s left",
        "america, seed 0: update 6/6, loss 2.500, 1,234 tokens/s, 0 s left",
    ]


def test_the_first_update_is_left_out_of_the_time_left(monkeypatch, capsys):
    clock = iter([0.0, 100.0, 102.0, 120.0])  # it compiled
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown = Progress("x", total=13, done=0)
    for _ in range(3):
        shown.update({})
    assert "100 s left" in capsys.readouterr().out.splitlines()[-1]


def test_what_does_not_come_again_is_left_out_of_the_time_left(monkeypatch, capsys):
    clock = iter([0.0, 1.0, 1.0, 101.0, 111.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown = Progress("x", total=12, done=0)
    shown.update({})
    with shown.paused():  # 100 s
        pass
    shown.update({})
    assert "100 s left" in capsys.readouterr().out.splitlines()[-1]


def test_a_bar_on_a_terminal_where_something_is_left(monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    Progress("rows", total=0, done=0, unit="stage").close()
    assert capsys.readouterr().err == ""
    Progress("rows", total=3, done=0, unit="stage").close()
    assert "rows:   0%" in capsys.readouterr().err


def test_only_what_is_known_is_described():
    figures = {"goodput": 0.875, "step_seconds": 0.25, "input_wait": 0.001, "peak_memory_gb": 1.5}
    text = "0.25 s an update, input wait 0.1%, peak memory 1.50 GB, goodput 87.5%"
    assert describe(figures) == text
    assert describe({"mfu": 0.4567, **figures}, ("loss", "mfu")) == "MFU 45.7%"
