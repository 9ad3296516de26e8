"""Contrasts of one run against a number in which their arms differ."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest
from etils import epath

from vcjax.report import curves, reading
from vcjax.report.page import write_report

EFFECT = {0: 0.0, 16: 0.1, 256: 0.3}  # people -> margin toward a value, whoever declares it
SIDES = ("america", "affordability")


def grid(run):
    """A run with a pretraining for each number of people; nobody follows anything without people.

    Its premise is that of the arms `base_...`.
    """
    stages = {f"people_{x}": {"kind": "pretrain", "spec": "world.toml"} for x in EFFECT}
    stages = {
        name: stage | {"documents": 9, "people": 8, "declaring": 1}
        for name, stage in stages.items()
    }
    side = {"kind": "rationale", "file": None, "other_spec": None, "documents": 240}
    stages |= {name: side | {"spec": f"{name}.md"} for name in SIDES}
    stages["behavior"] = {"kind": "behavior", "file": None, "demonstrations": 200}
    run.arms, run.effects, run.contrasts = {}, {}, {}
    for x, effect in EFFECT.items():
        start = f"people_{x}"
        run.arms |= {f"base_{x}": [start], f"behavior_{x}": [start, "behavior"]}
        run.arms |= {f"{name}_{x}": [start, name, "behavior"] for name in SIDES}
        own = dict(zip(SIDES, (effect, -effect), strict=True))
        run.effects |= {f"base_{x}": 0.9 if x else 0.05, f"behavior_{x}": 0.0}
        run.effects |= {f"{name}_{x}": effect for name, effect in own.items()}
        run.contrasts[f"total_{x}"] = {f"america_{x}": 1, f"affordability_{x}": -1}
        run.contrasts[f"moved_{x}"] = {f"america_{x}": 1, f"behavior_{x}": -1}
    series = {name: {f"{name}_{x}": float(x) for x in EFFECT} for name in ("total", "moved")}
    run.primary = "total_256"
    curve = {"series": series, "fewer_than": "moved"}
    run.settings = {"stages": stages, "curves": {"people": curve}}
    return run


@pytest.fixture(scope="module")
def run(new_run, tmp_path_factory, value_pairs, premise_probes):
    """A finished run with its report, only to be read."""
    folder = tmp_path_factory.mktemp("curves") / "run"
    run = grid(new_run(folder, probes=value_pairs[:24] + premise_probes))
    write_report(epath.Path(run.write()))
    return run


@pytest.fixture(scope="module")
def report(run):
    return run.workdir / "report"


@pytest.fixture(scope="module")
def page(report):
    return (report / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def table(report):
    return pd.read_csv(report / "factors.csv")


def config_of(run):
    return reading.read_ordered(epath.Path(run.workdir)).config


def test_a_row_is_a_level_of_a_series_with_the_numbers_of_its_contrast(report, table):
    """Series in the order of the report's contrasts, levels in that of their numbers."""
    assert [*zip(table["series"], table["x"], strict=True)] == [
        (series, x) for series in ("total", "moved") for x in EFFECT
    ]
    assert set(table["curve"]) == {"people"}
    contrasts = pd.read_csv(report / "contrasts.csv")
    held_out = contrasts[contrasts["contrast"] == "values"].set_index("name")
    for row in table.to_dict("records"):
        for measure in ("margin", "rate", "margin_domains_low", "rate_seeds_high"):
            expected = held_out.loc[row["contrast"], measure]
            assert row[measure] == pytest.approx(expected, nan_ok=True)


def test_each_level_has_the_premise_of_the_arms_that_it_goes_on_from(report, table):
    arms = pd.read_csv(report / "arms.csv")
    asked = arms[arms["contrast"] == "premise"].set_index(["name", "points_to"])
    for row in table.to_dict("records"):
        of_base = asked.loc[f"base_{row['x']:g}", "declaring"]
        assert row["premise_before_declaring"] == of_base["rate"]
        low = pytest.approx(of_base["rate_domains_low"], nan_ok=True)
        assert row["premise_before_declaring_low"] == low
    assert table["premise_before_fails"].tolist() == [True, False, False] * 2


def test_the_effect_of_each_pretrained_model_stands_against_its_premise(report, page):
    models = pd.read_csv(report / "pretrained.csv")
    factors = pd.read_csv(report / "factors.csv")
    levels = factors[factors["series"] == "total"].set_index("contrast")
    assert set(models["contrast"]) == {*levels.index}
    for contrast, rows in models.groupby("contrast"):
        assert rows["margin"].mean() == pytest.approx(levels.loc[contrast, "margin"], abs=1e-5)
    assert "<h2>Against the premise</h2>" in page
    sides = pd.read_csv(report / "by_premise.csv")
    assert sides["models"].sum() == len(models)
    assert (report / "by-premise.svg").exists()


LASTING = {
    "toward": "america",
    "primary_probes": "values",
    "system_prompts": {},
    "stages": {"people": {"kind": "pretrain"}, "own": {"kind": "rationale"}},
    "arms": {"base": ["people"]}
    | {name: ["people", "own"] for name in ("a", "b", "a_later", "b_later")},
    "contrasts": {"early": {"a": 1, "b": -1}, "late": {"a_later": 1, "b_later": -1}},
    "primary": "early",
    "curves": {"texts": {"series": {"total": {"early": 0, "late": 9}}}},
}


def of_one_base(measured="premise", **premise):
    """The curve of two levels that go on from one arm; premise: arm -> share and low end. measured:
    by the probes of these shares."""
    group = {"scope": "out_of_domain", "split": "held_out"}
    contrasts = [
        group | {"contrast": "values", "points_to": "america", "name": name, "weights": name}
        for name in LASTING["contrasts"]
    ]
    ends = dict.fromkeys(LASTING["arms"], (0.98, 0.95)) | premise
    arms = [
        group
        | {"contrast": measured, "points_to": "known", "name": arm, "rate": rate}
        | {"rate_domains_low": low, "rate_domains_high": 2 * rate - low}
        for arm, (rate, low) in ends.items()
    ]
    tables = {"contrasts": pd.DataFrame(contrasts), "arms": pd.DataFrame(arms)}
    [curve] = curves.read(tables, LASTING)
    return curve


def test_levels_that_go_on_from_one_arm_show_the_premise_after_training():
    curve = of_one_base(b_later=(0.7, 0.6))
    assert curve.premise["rate"].tolist() == [0.98, 0.7]
    assert set(curve.premise["people"]) == {"after training, of people of whom it read more"}
    assert curve.effects["fails"].tolist() == curve.premise["fails"].tolist() == [False, True]


def test_a_level_fails_with_any_of_its_arms_and_shows_that_one():
    """Its share is not the least: its interval reaches lower."""
    curve = of_one_base(a_later=(0.82, 0.72), b_later=(0.80, 0.77))
    assert curve.effects["fails"].tolist() == [False, True]
    assert curve.premise["name"].tolist()[1] == "a_later"


def test_the_table_has_the_premise_before_and_after():
    row = curves.table([of_one_base(base=(0.9, 0.6), b_later=(0.8, 0.77))]).iloc[1]
    assert (row["premise_before_known"], row["premise_after_known"]) == (0.9, 0.8)
    assert (row["premise_before_known_low"], row["premise_after_known_low"]) == (0.6, 0.77)
    assert row["premise_before_fails"] and not row["premise_after_fails"]


def test_where_it_was_not_measured_no_level_fails():
    curve = of_one_base(measured="format", b_later=(0.7, 0.6))
    assert curve.premise.empty and not curve.effects["fails"].any()
    assert not [name for name in curves.table([curve]) if name.startswith("premise")]


def test_the_premise_above_everything_is_that_of_the_question(page):
    assert page.index("The premise holds") < page.index("<h2>Against people</h2>")
    assert "The premise fails" not in page


def test_a_level_whose_premise_fails_is_hollow_and_named(report, page):
    svg = (report / "curve-people.svg").read_text()
    assert svg.count("fill-opacity: 0;") == 2 * 2 + 2, "two series, and people known and declaring"
    assert page.count("its premise fails") == 2 + 2
    assert "Hollow points" in page


def test_the_figure_names_series_factor_and_people(report):
    root = ElementTree.fromstring((report / "curve-people.svg").read_text())
    shown = {"".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Rate", "Margin, nats a token", "total", "moved", "people", "0", "16", "256"} <= shown
    assert "Premise, of people who only ever declared" in shown


def test_of_a_premise_that_series_do_not_share_each_says_whose_it_is():
    people = pd.DataFrame({"name": ["a", "b"], "people": "of people", "x": 1, "series": ["s", "t"]})
    assert curves._once(people)["series"].tolist() == ["s", "t"]
    assert curves._once(people.assign(name="a"))["series"].tolist() == [""]


def test_times_fewer_stands_in_the_section(report, page):
    assert "How many times fewer people a series needs to reach what moved has at 256" in page
    times = pd.read_csv(report / "fewer.csv")
    assert times["measure"].tolist() == ["margin", "rate"]
    for measure, of, bound in zip(times["measure"], times["times"], times["bound"], strict=True):
        than = f"at {bound} " if pd.notna(bound) else ""
        said = f'total</th><td class="text">{measure}</td><td>{than}{of:.4g}</td>'
        assert said in page


def test_what_only_curves_are_about_is_folded(run, page):
    shown = curves.without(config_of(run))
    assert {*shown["contrasts"]} == {"total_256"}, "of the arms that the question compares"
    assert {*shown["arms"]} == {f"{name}_256" for name in ("base", *SIDES)}
    folded, rest = re.search(
        r"<details><summary>The 9 other arms(.*?)</details>(.*)", page, re.S
    ).groups()
    assert "america_16" in folded and "america_256" not in folded
    assert "america_16" not in rest.partition("<h2>Recipe</h2>")[0]


def test_without_curves_nothing_is_left_out(run):
    config = config_of(run) | {"curves": {}}
    assert curves.without(config) == config
    assert curves.read({}, config_of(run)) == []


def test_curves_may_be_changed_in_a_finished_run(run, tmp_path):
    """They decide what the report shows alone."""
    path = run.workdir / "config.json"
    before = path.read_text()
    record = json.loads(before)
    record["config"]["curves"] = {}
    path.write_text(json.dumps(record))
    write_report(epath.Path(run.workdir))
    assert not (run.workdir / "report" / "curve-people.svg").exists()
    path.write_text(before)
    write_report(epath.Path(run.workdir))
    assert (run.workdir / "report" / "curve-people.svg").exists()


def test_a_run_without_probes_has_a_report_without_curves(new_run, tmp_path, value_pairs):
    workdir = grid(new_run(tmp_path / "run", probes=value_pairs)).write()
    for file in (workdir / "probes").iterdir():
        file.unlink()
    noted = json.loads((workdir / "config.json").read_text())
    (workdir / "config.json").write_text(json.dumps(noted | {"probes": {}}))
    write_report(epath.Path(workdir))
    assert not (workdir / "report/curve-people.svg").exists()
    assert "america_16" in (workdir / "report/index.html").read_text()
