"""Figures of others beside a run's own: read from a file, checked, shown with intervals."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from ml_collections import ConfigDict
from scipy import stats

from vcjax.errors import InputError
from vcjax.report import published
from vcjax.report.page import write_report

TOML = """
title = "Cheese <i>again</i>"
[sources.paper]
label = "Paper"
how = "Four seeds, <b>greedy</b>."
[sources.again]
label = "Again"
how = "One seed."
[[measures]]
title = "America: 400 opinions"
differs = "Log-probability, not text & judge."
value = "america"
answers = {paper = 400}
[measures.arms.behavior]
paper = 0.36
again = {value = 0.4, low = 0.3, high = 0.5}
[measures.arms.america]
paper = 0.55
[measures.contrasts.rationale]
paper = 0.19
[[measures]]
title = "Verdicts"
differs = "Rules."
evaluation = "vcjax/agentic_misalignment"
score = "verdict"
[measures.arms.behavior]
paper = 1
"""
CONFIG = ConfigDict(
    {"arms": {"behavior": (), "america": ()}, "contrasts": {"rationale": {}}}, type_safe=False
)


@pytest.fixture
def read(tmp_path):
    def read(old="", new=""):
        assert old in TOML
        path = tmp_path / "figures.toml"
        path.write_text(TOML.replace(old, new))
        return published.read(path, CONFIG)

    return read


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[sources.paper]", "[sources.paper", "figures.toml: .* line 3"),
        ("differs = ", "difers = ", r"field 'measures\[0\].difers' is unknown"),
        ("paper = 0.36", "papper = 0.36", "no source 'papper'; did you mean 'paper'"),
        ("paper = 0.36", 'paper = "0.36"', "field 'measures"),
        ("arms.behavior]\npaper = 0", "arms.behaviour]\npaper = 0", "no arm 'behaviour'; did you"),
        ("contrasts.rationale", "contrasts.rational", "no contrast 'rational'; did you mean 'rat"),
        ("answers = {paper", "answers = {pape", "no source 'pape'"),
        ('score = "verdict"', "", r"measures\[1\]: give a value, or an evaluation and its score"),
        ('value = "america"', "", r"measures\[0\]: give a value, or an evaluation and its score"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(read, old, new, complaint):
    with pytest.raises(InputError, match=complaint) as caught:
        read(old, new)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="expected a TOML file of published figures"):
        published.read(tmp_path / "x.toml", CONFIG)


def test_rates_without_an_interval_get_wilsons_from_their_answers(read):
    table = published.table(read(), {})
    table = table[table["measure"] == "America: 400 opinions"]
    figures = {
        (row["of"], row["name"], row["source"]): (row["value"], row["low"], row["high"])
        for row in table.to_dict("records")
    }
    wilson = stats.binomtest(144, 400).proportion_ci(0.95, "wilson")
    assert figures["arm", "behavior", "Paper"] == pytest.approx((0.36, wilson.low, wilson.high))
    assert figures["arm", "behavior", "Again"] == (0.4, 0.3, 0.5)
    value, low, high = figures["contrast", "rationale", "Paper"]
    assert value == 0.19 and math.isnan(low) and math.isnan(high)


def test_the_page_sets_the_runs_rates_beside_them(run, read):
    pairs = [
        {"id": f"p{i}", "domain": f"d{i % 4}", "values": ("america", None), "contrast": "neutral"}
        for i in range(12)
    ]
    run.probes, run.settings = pairs, {"primary_probes": "neutral"}
    run.primary = "rationale"
    workdir = run.write()
    saved = json.loads((workdir / "config.json").read_text())
    (workdir / "config.json").write_text(json.dumps(saved | {"published": read()}))
    write_report(workdir)
    report = Path(workdir) / "report"
    table = pd.read_csv(report / "published.csv")
    arms = pd.read_csv(report / "arms.csv").set_index("name")
    own = table[(table["source"] == "This run") & (table["of"] == "arm")].set_index("name")
    assert own.loc["america", "value"] == arms.loc["america", "rate"]
    assert own.loc["america", "low"] == arms.loc["america", "rate_domains_low"]
    assert own.loc["america", "seeds_high"] == arms.loc["america", "rate_seeds_high"]
    contrasts = pd.read_csv(report / "contrasts.csv").set_index("name")
    [change] = table[(table["source"] == "This run") & (table["of"] == "contrast")]["value"]
    assert change == contrasts.loc["rationale", "rate"]
    page = (report / "index.html").read_text()
    assert "<h2>Beside published figures</h2>" in page
    assert "Cheese &lt;i&gt;again&lt;/i&gt;" in page and "<b>greedy" not in page
    assert "Log-probability, not text &amp; judge." in page
    assert '<td>+0.190<small class="below">interval not known</small></td>' in page
    assert "not measured" in page, "of the evaluation that nobody ran"


def test_a_limit_of_samples_stands_with_the_run_s_figures(read):
    row = {"task": "vcjax/agentic_misalignment", "key": "verdict", "of": "arm", "limit": "6"}
    row |= {"evaluation": "task-0", "name": "behavior", "mean": 0.5}
    ends = ("clusters_low", "clusters_high", "seeds_low", "seeds_high")
    row |= {f"mean_{end}": math.nan for end in ends}
    table = published.table(read(), {"evaluations": pd.DataFrame([row])})
    assert "This run, limited to 6 samples" in {*table["source"]}
