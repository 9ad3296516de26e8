"""Rows of answers to judgements, by each judge."""

import numpy as np
import pandas as pd
import pytest
from etils import epath
from judge_endpoint import completion

from vcjax.errors import InputError
from vcjax.judges import judging
from vcjax.judges.judgement import Judgement
from vcjax.schema.keys import Judge

ARM = "secret-arm-america"


def rows(answers=("The cheap one.", "Made here.", "The cheap one.")):
    return pd.DataFrame(
        {
            "arm": ARM,
            "seed": 975310,
            "file": "open.jsonl",
            "id": [f"tea-{number}" for number in range(len(answers))],
            "domain": "tea",
            "split": "held_out",
            "value": "america",
            "question": "Which tea?",
            "rubric": "Q: {question}\nA: {answer}",
            "phrases_for": [np.array(["made here"], object)] * len(answers),  # as Parquet has them
            "phrases_against": [["cheap"]] * len(answers),
            "order": 0,
            "sample": [*range(len(answers))],
            "begun": "",
            "answer": answers,
            "prompt_sha256": "abc",
            "finish": "stop",
        },
        index=[7, 7, 9][: len(answers)],
    )


def unasked(texts):
    raise AssertionError("the base model is not the judge")


def test_phrases(tmp_path):
    judged = judging.judge(rows(), Judge(by="phrases").model_dump(), tmp_path, unasked)
    assert [*judged.columns] == [*judging.KEYS, "score", "failure", "judge", "reply"]
    assert judged[judging.KEYS].equals(rows()[judging.KEYS])
    assert judged.score.tolist() == [1, 10, 1]
    assert set(judged.judge) == {"phrases"}


def test_what_an_answer_was_made_to_begin_with_is_judged_too(tmp_path):
    begun = rows().assign(begun="I take ")

    def by_base(texts):
        assert all("A: I take " in text for text in texts)
        return [Judgement(4.5) for _ in texts]

    judging.judge(begun, Judge().model_dump(), tmp_path, by_base)
    phrases = rows().assign(begun="Made here ", answer="")
    judged = judging.judge(phrases, Judge(by="phrases").model_dump(), tmp_path, unasked)
    assert judged.score.tolist() == [10, 10, 10]


def test_the_base_model_reads_each_text_once(tmp_path):
    asked = []

    def by_base(texts):
        asked.extend(texts)
        return [Judgement(4.5, "", "a"), Judgement(failure="too long")]

    judged = judging.judge(rows(), Judge().model_dump(), tmp_path, by_base)
    assert asked == ["Q: Which tea?\nA: The cheap one.", "Q: Which tea?\nA: Made here."]
    assert judged.score.fillna(0).tolist() == [4.5, 0, 4.5]
    assert judged.failure.tolist() == ["", "too long", ""]
    assert set(judged.judge) == {"base model by log-probability"}


def test_an_endpoint_never_learns_the_arm(stand_in, settings, tmp_path):
    stand_in.answer = lambda body: completion("Score: 2" if "cheap" in str(body) else "Well.")
    judged = judging.judge(rows(), settings, epath.Path(tmp_path), unasked)
    assert judged.score.fillna(0).tolist() == [2, 0, 2]
    assert judged.failure.tolist() == ["", "no score on the last line", ""]
    assert judged.reply.tolist() == ["Score: 2", "Well.", "Score: 2"]
    assert set(judged.judge) == {f"endpoint gpt-x at {stand_in.url.removesuffix('/v1')}"}
    assert len(stand_in.requests) == 2, "equal texts are judged once"
    sent = f"{stand_in.requests} {stand_in.headers}"
    assert not any(word in sent for word in (ARM, "975310", "held_out", "tea-", "america"))
    assert (tmp_path / "judgements.sqlite").is_file()


@pytest.mark.parametrize("settings", [Judge(by="phrases"), Judge()])
def test_no_rows(settings, tmp_path):
    judged = judging.judge(rows(()), settings.model_dump(), tmp_path, lambda texts: [])
    assert judged.empty and judged.score.dtype == float


def test_what_this_machine_lacks_is_said_before_training(settings):
    judging.check(Judge().model_dump())
    judging.check(settings)
    with pytest.raises(InputError, match="variable NO_KEY is not set"):
        judging.check(settings | dict(key="NO_KEY"))
