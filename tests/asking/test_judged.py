"""Which answers are judged, and which cannot be; that they are is in tests/test_judge.py."""

from types import SimpleNamespace

import pandas as pd
import pytest
from etils import epath

from vcjax.asking import judged
from vcjax.errors import InputError
from vcjax.judges import judging
from vcjax.probes import answer_files
from vcjax.schema.keys import Judge


def asker(tmp_path, judge):
    record = SimpleNamespace(config={"judge": judge.model_dump()})
    models = [SimpleNamespace(arm="base", seed=0)]
    return SimpleNamespace(record=record, workdir=epath.Path(tmp_path), models=lambda: models)


def write_answers(folder, phrases_for=("made here",)):
    row = {"file": "open.jsonl", "id": "tea", "order": 0, "sample": 0, "answer": "Made here."}
    row |= {"phrases_for": [*phrases_for], "phrases_against": ["cheap"]}
    answer_files.write(answer_files.own_path(folder, "base", 0, "open"), pd.DataFrame([row]), {})


def test_an_endpoint_that_gave_no_reply_is_asked_again(tmp_path, monkeypatch):
    failures = iter(["HTTP 500", ""])
    calls = []

    def judge(rows, settings, workdir, by_base):
        failure = next(failures)
        calls.append(failure)
        score, reply = (float("nan"), "") if failure else (3.0, "Score: 3")
        return rows[judging.KEYS].assign(score=score, failure=failure, judge="x", reply=reply)

    monkeypatch.setattr(judging, "judge", judge)
    (tmp_path / "probes").mkdir()
    write_answers(epath.Path(tmp_path / "probes"))
    asked = asker(tmp_path, Judge(by="endpoint", url="http://localhost:1/v1", model="m"))
    for _ in range(3):
        judged.judge(asked, "probes")
    assert calls == ["HTTP 500", ""]


def test_answers_to_all_probes_are_found_and_want_phrases(tmp_path):
    with pytest.raises(InputError, match="has no open probes, so there is nothing to judge"):
        judged.subfolders(epath.Path(tmp_path))
    for name in ("probes", "probes/abc", "probes/def"):
        (tmp_path / name).mkdir()
    write_answers(epath.Path(tmp_path / "probes"))
    write_answers(epath.Path(tmp_path / "probes/abc"), phrases_for=())
    found = judged.subfolders(epath.Path(tmp_path))
    assert found == ["probes", "probes/abc"]
    judged.check_answers(asker(tmp_path, Judge()), found)
    with pytest.raises(InputError, match=r"open.jsonl: probe 'tea': it has no phrases\.toward"):
        judged.check_answers(asker(tmp_path, Judge(by="phrases")), found)
