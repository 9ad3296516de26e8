import xml.etree.ElementTree as ElementTree

import pytest

from vcjax.report import figures, reading, tables

SVG = "{http://www.w3.org/2000/svg}"


def draw(run) -> dict[str, str]:
    """Both figures of a run."""
    workdir = run.write()
    record = reading.read_ordered(workdir)
    config = record.config
    answers, _ = reading.read_answers(workdir / "probes", record)
    sums = tables.weighted_sums(answers, config)
    return {
        "arms": figures.arms_figure(
            tables.estimates(sums, config, "arm"),
            tables.estimates(sums, config, "contrast"),
            tables.by_cluster(sums, "seed"),
            config,
        ),
        "training": figures.training_figure(reading.read_curves(workdir, record), config),
    }


@pytest.fixture(scope="module")
def drawn(new_run, tmp_path_factory) -> dict[str, str]:
    return draw(new_run(tmp_path_factory.mktemp("figures") / "run"))


def texts(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_figures_name_every_arm_contrast_and_stage(drawn):
    for name in ("base", "behavior", "america", "affordability", "total", "rationale"):
        assert name in texts(drawn["arms"])
    for name in ("Stage america", "Stage behavior", "held-out loss"):
        assert name in texts(drawn["training"])


def test_figures_are_the_same_bytes_each_time(run, drawn):
    assert draw(run) == drawn


def test_figures_hold_no_date_and_no_background(drawn):
    for svg in drawn.values():
        assert "<metadata" not in svg
        assert "dc:date" not in svg
        assert "#ffffff" not in svg.lower()


def test_two_figures_on_one_page_share_no_id(drawn):
    ids = [
        {element.get("id") for element in ElementTree.fromstring(svg).iter() if element.get("id")}
        for svg in drawn.values()
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_every_reference_inside_a_figure_is_kept(drawn):
    for svg in drawn.values():
        root = ElementTree.fromstring(svg)
        ids = {element.get("id") for element in root.iter()}
        uses = {use.get("{http://www.w3.org/1999/xlink}href") for use in root.iter(f"{SVG}use")}
        assert uses
        assert {use[1:] for use in uses} <= ids
        for element in root.iter():
            clip = element.get("clip-path")
            assert clip is None or clip[5:-1] in ids


def test_names_are_text_and_never_markup_or_formulas(run):
    name = "<a> & $x_1$"
    run.arms[name] = ["behavior"]
    run.effects[name] = 0.0
    assert name in texts(draw(run)["arms"])


def test_the_sides_of_the_primary_contrast_have_colours_of_their_own(run):
    colours = figures.arm_colours(reading.read_ordered(run.write()).config)
    assert colours["america"] != colours["affordability"]
    assert colours["america"] not in (colours["behavior"], colours["base"])


def test_colours_tell_the_sides_of_each_pair_apart_and_not_the_signs_of_a_sum_of_four(run):
    run.arms |= {"other_a": ["behavior"], "other_b": ["behavior"]}
    run.contrasts = {
        "attribution": {"america": 1, "affordability": -1, "other_a": -1, "other_b": 1},
        "exposure": {"other_a": 1, "other_b": -1},
        "total": {"america": 1, "affordability": -1},
    }
    run.primary, run.effects = "attribution", run.effects | {"other_a": 0.0, "other_b": 0.0}
    colours = figures.arm_colours(reading.read_ordered(run.write()).config)
    assert (colours["america"], colours["affordability"]) == figures._PAIRS[0]
    assert (colours["other_a"], colours["other_b"]) == figures._PAIRS[1]


def test_figures_of_one_seed_are_drawn(run, value_pairs):
    run.seeds, run.probes = 1, value_pairs
    assert "america" in texts(draw(run)["arms"])


def test_runs_stand_side_by_side_with_the_same_contrasts(run):
    workdir = run.write()
    record = reading.read_ordered(workdir)
    answers, _ = reading.read_answers(workdir / "probes", record)
    sums = tables.weighted_sums(answers, record.config)
    contrasts = tables.estimates(sums, record.config, "contrast")
    one = contrasts, tables.by_cluster(sums, "seed")
    svg = figures.runs_figure({"the first": one, "the second": one})
    shown = texts(svg)
    assert {"the first", "the second"} <= {*shown}
    assert {*contrasts["name"]} <= {*shown}
    assert svg == figures.runs_figure({"the first": one, "the second": one})
