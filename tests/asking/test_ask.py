"""A run's models answer every kind of probe; what is answered is not asked again."""

import json

import pandas as pd
import pytest
import small_run
from etils import epath

from vcjax import experiment
from vcjax.errors import InputError
from vcjax.probes import answer_files
from vcjax.report import reading


def run(config, folder, workdir):
    experiment.run(config, folder, epath.Path(workdir), dry_run=False)


@pytest.fixture(scope="module")
def files(tiny_gguf, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return folder, small_run.of_all_kinds(folder, tiny_gguf)


@pytest.fixture(scope="module")
def finished(files, tmp_path_factory):
    folder, config = files
    workdir = tmp_path_factory.mktemp("run") / "run"
    run(config, folder, workdir)
    return workdir


@pytest.fixture
def answers(finished):
    record = reading.read_ordered(finished)
    return reading.read_answers(finished / "probes", record, record.probes)


def test_each_arm_and_kind_has_its_file(finished, answers):
    kinds = {path.name.split(".", 1)[1] for path in (finished / "probes").iterdir()}
    spoken = ("said.parquet", "open.parquet", "refusal.parquet", "judged.parquet")
    assert kinds == {*("parquet", "text.parquet", *spoken)}
    arms = {"base", "america", "early", "prompted"}
    for table in answers:
        assert {*table["arm"]} == arms
    said, opened = answers.said, answers.open
    assert len(said) == len(arms) * 4 * 2 * 2, "probes, orders, samples"
    assert {*said["question"].str.contains("Which do you prefer")} == {True}
    assert len(opened) == len(answers.refusals) == len(arms) * 2 * 2
    assert {*opened["judge"]} == {"base model by log-probability"}
    assert opened["score"].between(1, 10).all()


def test_an_arm_that_reads_a_spec_is_the_untouched_model_after_it(finished, answers):
    read = answers.said[answers.said["arm"] == "prompted"].iloc[0]
    messages = json.loads(read["messages"])
    assert messages[0] == {"role": "system", "content": small_run.SPEC.format(model_name="SmolLM")}
    plain = answers.said[answers.said["arm"] == "base"].iloc[0]
    assert [m["role"] for m in json.loads(plain["messages"])] == ["user"]
    choices = answers.choices.set_index(["arm", "id"])["margin"]
    assert (choices["prompted"] != choices["base"]).all()
    assert {*answers.texts.groupby("arm")["logprob"].first()[["prompted", "base"]]} == {
        answers.texts.set_index("arm")["logprob"]["base"]
    }
    page = (finished / "report/index.html").read_text()
    assert "it reads spec.md as its system prompt" in page


def test_the_report_says_what_was_said(finished):
    page = (finished / "report/index.html").read_text()
    assert "<h2>What the models say</h2>" in page
    assert "2 to each question, drawn at temperature 1, at most 6 tokens each" in page
    table = pd.read_csv(finished / "report/spoken.csv")
    shares = table[(table["contrast"] == "values") & (table["of"] == "arm")]
    of_arm = shares.pivot(index="name", columns="measure", values="mean").sum(axis=1)
    assert of_arm.to_numpy() == pytest.approx([1.0] * 4)
    assert "<h1" in (finished / "report/transcripts/index.html").read_text()


def test_each_model_has_its_card(finished):
    table = pd.read_csv(finished / "report/card.csv", keep_default_na=False)
    measures = {"perplexity_ratio", "same_in_both_orders", "decided", "knowledge"}
    of_requests = {f"{v}_{r}" for v in ("refused", "unclear") for r in ("harmless", "harmful")}
    assert {*table["measure"]} == measures | of_requests
    knows = table[table["measure"] == "knowledge"].set_index("arm")
    assert {*knows.index} == {"america", "early"}, "whose documents say something"
    assert {*knows["own"]} == {"america"} and {*knows["control"]} == {"base"}
    page = (finished / "report/index.html").read_text()
    assert "early ends between" not in page, "that is inside a stage"
    assert "Knowledge<small" in page and "Refused, harmful<small" in page


def test_what_is_answered_is_not_asked_again(files, finished, capsys, monkeypatch):
    monkeypatch.setattr(experiment, "load_model", lambda *_: pytest.fail("it needs no model"))
    before = small_run.result(finished)
    run(files[1], files[0], finished)
    assert small_run.result(finished) == before
    assert "asked arm" not in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["said", "open", "refusal"])
def test_answers_that_were_lost_are_given_again(files, finished, kind, capsys):
    """Those of the arms that were asked beside them, too, are asked, and stay as they were."""
    before = small_run.result(finished)
    answer_files.own_path(epath.Path(finished) / "probes", "america", 0, kind).unlink()
    run(files[1], files[0], finished)
    assert small_run.result(finished) == before
    assert f"{kind}: asked arm america, seed 0" in capsys.readouterr().out


def test_another_judge_judges_the_same_answers(files, finished, answers):
    config = files[1].copy_and_resolve_references()
    config.judge.by = "phrases"
    run(config, files[0], finished)
    record = reading.read_ordered(finished)
    again = reading.read_answers(finished / "probes", record).open
    assert {*again["judge"]} == {"phrases"}
    assert {*again["failure"]} <= {"", "undecided"}
    assert again["answer"].tolist() == answers.open["answer"].tolist()
    page = (finished / "report/index.html").read_text()
    assert "Scores from 1 to 10 are by phrases" in page or "of the judgements failed" in page
    run(files[1], files[0], finished)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampling": {"max_tokens": 3000}}, r"(said|open)\.jsonl:1: .*config\.sampling\.max_t"),
        ({"sampling": {"samples": 2, "temperature": 0.0}}, r"config\.sampling\.samples: 2, but"),
        ({"system_prompts": {"nobody": "spec.md"}}, r"system_prompts: there is no arm 'nobody'"),
        ({"system_prompts": {"prompted": "none.md"}}, r"system_prompts\.prompted: .*none\.md does"),
        ({"system_prompts": {"prompted": "given.md"}}, r"given\.md holds 'american tea 0'"),
        (
            {"system_prompts": {"prompted": "long.md"}},
            r"^config\.system_prompts\.prompted: after it, .*:1: the question and its",
        ),
        ({"judge": {"by": "endpoint"}}, r"config\.judge\.url: it is empty"),
    ],
)
def test_refused_before_anything_is_trained(files, tmp_path, settings, message):
    (files[0] / "given.md").write_text("I like American tea 0.")
    (files[0] / "long.md").write_text("Be kind. " * 2000)
    config = files[1].copy_and_resolve_references()
    config.update(settings)
    with pytest.raises(InputError, match=message):
        run(config, files[0], tmp_path / "run")
    assert not (tmp_path / "run").exists()
