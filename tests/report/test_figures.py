import itertools
import re
import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest

from vcjax.report import figures, reading, tables

SVG = "{http://www.w3.org/2000/svg}"


def draw(run) -> dict[str, str]:
    """Both figures of a run."""
    workdir = run.write()
    record = reading.read_ordered(workdir)
    config = record.config
    answers = reading.read_answers(workdir / "probes", record).choices
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
    answers = reading.read_answers(workdir / "probes", record).choices
    sums = tables.weighted_sums(answers, record.config)
    contrasts = tables.estimates(sums, record.config, "contrast")
    one = contrasts, tables.by_cluster(sums, "seed")
    svg = figures.runs_figure({"the first": one, "the second": one})
    shown = texts(svg)
    assert {"the first", "the second"} <= {*shown}
    assert {*contrasts["name"]} <= {*shown}
    assert svg == figures.runs_figure({"the first": one, "the second": one})


def of_runs(values, **columns):
    """Rows as `figures.factor_figure` takes them, one a value of the factor."""
    rows = [
        {"name": "total", "x": x, "fails": i == 0, "margin": 0.1 * i, "rate": 0.2 * i, **columns}
        for i, x in enumerate(values)
    ]
    table = pd.DataFrame(rows)
    for measure, cluster in itertools.product(("margin", "rate"), ("domains", "seeds")):
        table[f"{measure}_{cluster}_low"] = table[measure] - 0.1
        table[f"{measure}_{cluster}_high"] = table[measure] + 0.1
    return table


def against(values) -> str:
    people = of_runs(values, people="of people who only ever declared", series="")
    return figures.factor_figure("runs", "shape.embed_dim", of_runs(values), people, "total")


def in_first_panel(svg: str, part: str) -> ElementTree.Element:
    root = ElementTree.fromstring(svg)
    return next(e for e in root.iter() if (e.get("id") or "").startswith(f"runs-{part}"))


def test_effects_and_premise_stand_against_the_factor():
    shown = texts(against([1, 2, 3]))
    for text in ("Margin, nats a token", "Rate", "total", "shape.embed_dim"):
        assert text in shown
    assert "Premise, of people who only ever declared" in shown
    assert figures.factor_figure("runs", "x", of_runs([1, 2]), pd.DataFrame(), None)


@pytest.mark.parametrize(
    ("values", "middle"),
    [([1, 4, 16], 1 / 2), ([1, 4, 10], 3 / 9), ([0, 4, 16], 4 / 16), ([-1, 4, 16], 5 / 17)],
    ids=["logarithmic", "not more than ten times", "zero", "negative"],
)
def test_the_axis_is_logarithmic_where_values_are_positive_and_span_more_than_ten(values, middle):
    """middle: where between the first and the last tick the second one stands."""
    axis = in_first_panel(against(values), "matplotlib.axis_1")
    places = [float(use.get("x")) for use in axis.iter(f"{SVG}use")]
    share = (places[1] - places[0]) / (places[2] - places[0])
    assert share == pytest.approx(middle, abs=1e-3)


def test_on_a_logarithmic_axis_zero_stands_one_step_before_the_others():
    axis = in_first_panel(against([0, 1, 4, 16]), "matplotlib.axis_1")
    places = [float(use.get("x")) for use in axis.iter(f"{SVG}use")]
    steps = [b - a for a, b in itertools.pairwise(places)]
    assert steps == pytest.approx([steps[0]] * 3, rel=1e-3)
    assert {"0", "1", "4", "16"} <= {*texts(against([0, 1, 4, 16]))}


@pytest.mark.parametrize("values", [[16, 64, 1024], [0, 16, 64, 1024]])
def test_a_logarithmic_axis_has_the_same_room_at_both_ends(values):
    svg = against(values)
    axis = in_first_panel(svg, "matplotlib.axis_1")
    places = [float(use.get("x")) for use in axis.iter(f"{SVG}use")]
    dotted = re.search(r'<path d="M (\S+) \S+\s+L (\S+) \S+\s*"[^>]*stroke-dasharray', svg)
    left, right = map(float, dotted.groups())
    assert places[0] - left == pytest.approx(right - places[-1], abs=0.1)
    assert 0 < places[0] - left < 0.1 * (right - left)


def test_no_line_goes_beyond_what_was_measured():
    svg = against([16, 1, 4])
    axis = in_first_panel(svg, "matplotlib.axis_1")
    ticks = [float(use.get("x")) for use in axis.iter(f"{SVG}use")]
    joining = re.findall(r'<path d="([^"]*)"[^>]*stroke-width: 0.6', svg)
    assert len(joining) == 3, "margin, rate and premise"
    points = [float(x) for x, _ in re.findall(r"[ML] (\S+) (\S+)", joining[0])]
    assert points == pytest.approx(ticks)


def test_series_share_a_panel_and_have_colours_of_their_own():
    both = pd.concat([of_runs([1, 2]), of_runs([1, 2]).assign(name="exposure")])
    svg = figures.factor_figure("runs", "x", both, pd.DataFrame(), "exposure")
    assert texts(svg).count("Rate") == 1 and {"total", "exposure"} <= {*texts(svg)}
    joining = re.findall(r"stroke: (#\w+); stroke-width: 0.6", svg)
    assert len(joining) == 4 and len({*joining}) == 2


def test_the_axis_has_room_for_both_intervals():
    wide = of_runs([1, 2]).assign(margin_seeds_low=-40.0, margin_seeds_high=40.0)
    svg = figures.factor_figure("runs", "x", wide, pd.DataFrame(), None)
    assert {"40", "\N{MINUS SIGN}40"} <= {*texts(svg)}


def test_values_that_stand_close_share_a_label():
    assert {"1,000", "50k"} <= {*texts(against([1000, 1010, 50_000]))}
    assert "1,010" not in texts(against([1000, 1010, 50_000]))


def test_a_run_whose_premise_fails_is_hollow():
    assert against([1, 2]).count("fill-opacity: 0;") == 3, "in margin, rate and premise"


def test_many_runs_stand_in_rows():
    contrasts, seeds = of_runs([1]), of_runs([1])
    size = {}
    for count in (3, 4, 5):
        svg = figures.runs_figure({f"run {i}": (contrasts, seeds) for i in range(count)})
        assert f"run {count - 1}" in texts(svg)
        root = ElementTree.fromstring(svg)
        size[count] = float(root.get("width")[:-2]), float(root.get("height")[:-2])
    assert size[3][0] < size[4][0] and size[3][1] == size[4][1]
    assert size[5] == (size[3][0], 2 * size[3][1])  # three and two
