"""stage.json: what was trained, by which versions, and whether it is done."""

from vcjax.workdir import stages

OLD, NEW = {"vcjax": "0.9.0", "commit": "a"}, {"vcjax": "0.9.1", "commit": "b"}


def test_a_stage_names_all_that_worked_on_it_in_order(tmp_path):
    for state, now in ((stages.RUNNING, OLD), (stages.RUNNING, OLD), (stages.RUNNING, NEW)):
        stages.write(tmp_path, "f", state, {"name": "why"}, now)
        assert not stages.is_done(tmp_path, "f")
    stages.write(tmp_path, "f", stages.DONE, {"name": "why"}, NEW)
    assert stages.is_done(tmp_path, "f")
    content = stages.read(tmp_path, "f")
    assert content == {"state": "done", "plan": {"name": "why"}, "trained_by": [OLD, NEW]}


def test_a_stage_that_never_began(tmp_path):
    assert stages.read(tmp_path, "f") == {}
    assert not stages.is_done(tmp_path, "f")
