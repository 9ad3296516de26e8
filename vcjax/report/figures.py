"""The figures of a report as SVG text: the same tables give the same bytes.

The two arms of a pair are blue and vermillion, every second pair in lighter tones; other arms have
the rest of the palette. It is that of Okabe and Ito, whose colours can be distinguished with every
common colour blindness. All colours are mid-tones, readable on white and on black; within the page
text takes the page's colour.
"""

import io
import itertools
import textwrap
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from matplotlib.transforms import ScaledTranslation

from vcjax import config as configs
from vcjax.report import design
from vcjax.report.formatting import compact
from vcjax.report.premise import PREMISE
from vcjax.report.tables import headline, in_group

_BLUE, _VERMILLION, _GREY = "#2a86c8", "#d9682b", "#808080"
_PAIRS = ((_BLUE, _VERMILLION), ("#7db3dc", "#e5a27f"))
_OTHERS = ("#808080", "#1a9a78", "#c4719f", "#9a8f5a", "#6f8f9f")
_COLOURED = ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor")
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "vcjax",  # ids of clip paths and markers are random without it
    "svg.fonttype": "none",  # text stays text: searchable, and small
    "text.parse_math": False,  # a $ in a name is a $
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 9,
    **dict.fromkeys((*_COLOURED, "xtick.color", "ytick.color"), _GREY),
}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def arm_colours(config: dict) -> dict[str, str]:
    """Arm -> colour; of a pair the arm that its contrast adds is blue, the other vermillion."""
    paired = zip(design.pairs(config), itertools.cycle(_PAIRS), strict=False)
    colours = {arm: c for arms, tones in paired for arm, c in zip(arms, tones, strict=True)}
    others = itertools.cycle(_OTHERS)
    return {arm: colours.get(arm) or next(others) for arm in config["arms"]}


def _trained_colours(config: dict) -> dict[str, str]:
    """Of the arms that train; a graft trains nothing of its own."""
    colours = arm_colours(config)
    return {arm: colours[arm] for arm in colours if configs.graft_of(config, arm) is None}


def _chain_colours(config: dict) -> dict[str, str]:
    """Chain of stages -> colour of the first arm that begins with it."""
    colours: dict[str, str] = {}
    for arm, colour in _trained_colours(config).items():
        stages, _ = configs.chain_of(config, arm)
        for i in range(len(stages)):
            colours.setdefault(" > ".join(stages[: i + 1]), colour)
    return colours


def arms_figure(
    arms: pd.DataFrame, contrasts: pd.DataFrame, seeds: pd.DataFrame, config: dict
) -> str:
    """Arms above, contrasts below; margins left, rates right, in rows as of `_points`. A dashed
    line is an arm without training.

    Args:
      arms, contrasts: what `tables.estimates` returns.
      seeds: what `tables.by_cluster` returns for "seed".
    """
    with matplotlib.rc_context(_STYLE):
        group, names = headline(config), design.drawn(config)
        arms, contrasts, seeds = (
            table[in_group(table, group) & table["name"].isin(names)]
            for table in (arms, contrasts, seeds)
        )
        untouched = design.untouched(config)
        trained = arms[~arms["name"].isin(untouched)]
        colours = arm_colours(config)
        heights = [len(trained) + 0.6, len(contrasts) + 0.6]
        figure = Figure(figsize=(8, 1.4 + 0.34 * sum(heights)), layout="constrained")
        axes = figure.subplots(
            2, 2, sharex=False, sharey="row", gridspec_kw={"height_ratios": heights}
        )
        roles = contrasts.set_index("name")["role"]
        for column, (measure, neutral) in enumerate([("margin", 0), ("rate", 0.5)]):
            above, below = axes[:, column]
            _points(above, trained, seeds[seeds["kind"] == "arm"], measure, colours)
            for i, arm in enumerate(untouched):
                level = arms.loc[arms["name"] == arm, measure].iloc[0]
                above.axvline(level, color=_GREY, linestyle="--", linewidth=1.2)
                above.annotate(
                    arm,
                    (level, 1),
                    xycoords=("data", "axes fraction"),
                    xytext=(3, -1 - 10 * i),
                    textcoords="offset points",
                    fontsize=8,
                    verticalalignment="top",
                )
            above.axvline(neutral, color=_GREY, linestyle=":", linewidth=0.8)
            weights = {name: _BLUE if role == "primary" else _GREY for name, role in roles.items()}
            _points(below, contrasts, seeds[seeds["kind"] == "contrast"], measure, weights)
            below.axvline(0, color=_GREY, linestyle=":", linewidth=0.8)
        toward = config["toward"]
        axes[0, 0].set_title(f"Margin toward {toward}, nats a token")
        axes[0, 1].set_title(f"Rate of {toward} choices")
        axes[1, 0].set_title("Difference in margin")
        axes[1, 1].set_title("Difference in rate")
        return _to_svg(figure, "arms", "Margin and rate by arm, and their contrasts")


def runs_figure(
    runs: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]], measure: str = "rate"
) -> str:
    """The same contrasts of several runs, a panel each, drawn as in `arms_figure`.

    Args:
      runs: title -> (contrasts, seeds), as of `arms_figure`, of the headline's held-out pairs; the
        last contrast of each is the question.
      measure: "rate" or "margin".
    """
    rows = -(-len(runs) // 4)
    columns = -(-len(runs) // rows)
    names = next(iter(runs.values()))[0]["name"]
    with matplotlib.rc_context(_STYLE):
        size = 2.1 * columns + 0.9, rows * (0.34 * len(names) + 0.88)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
        for panel in axes[len(runs) :]:
            panel.set_visible(False)
        for panel in axes[max(0, len(runs) - columns) : len(runs)]:  # the lowest of its column
            panel.tick_params(labelbottom=True)
        for panel, (title, (contrasts, seeds)) in zip(axes, runs.items(), strict=False):
            colours = dict.fromkeys(contrasts["name"], _GREY)
            colours[contrasts["name"].iloc[-1]] = _BLUE
            _points(panel, contrasts, seeds, measure, colours)
            panel.axvline(0, color=_GREY, linestyle=":", linewidth=0.8)
            panel.set_title(title)
        unit = ", nats a token" if measure == "margin" else " of choices"
        figure.supxlabel(f"Difference in {measure}{unit}", fontsize=9)
        says = f"Differences in {measure} of the same contrasts in several runs"
        return _to_svg(figure, "runs", says)


def factor_figure(
    file: str, name: str, effects: pd.DataFrame, people: pd.DataFrame, question: str | None
) -> str:
    """Effects, and below them the premise, against a factor in which runs or contrasts differ.

    A colour is a series of effects. A point is a level of the factor, hollow where its premise
    fails. Its thick line is the interval over domains, the thin one beside it that over seeds. Thin
    lines join the points and end with them. The axis of the factor is that of `is_logarithmic`.

    Args:
      file: name of the figure's file; no other figure of the page has it.
      name: of the factor.
      effects: contrasts, as `tables.estimates` has them, of all levels; with the columns x (the
        factor) and fails (whether the level's premise fails). A name is a series.
      people: what `premise.shares` returns, of all levels, with the same columns, and with series:
        whose premise it is, "" where it is that of all; it may be empty.
      question: the series that is coloured as the question; None: the first.
    """
    series = [*effects["name"].unique()]
    others = itertools.cycle((_VERMILLION, *_OTHERS[1:]))
    colours = {one: _BLUE if one == (question or series[0]) else next(others) for one in series}
    of_effects = effects.assign(series=effects["name"])
    panels: list[tuple[str, pd.DataFrame, str, float]] = [  # the number is a dotted line's
        ("Margin, nats a token", of_effects, "margin", 0),
        ("Rate", of_effects, "rate", 0),
    ]
    for whose, rows in people.groupby("people", sort=False) if len(people) else ():
        panels.append((f"Premise, {whose}", rows, "rate", PREMISE))
    height = -(-len(panels) // 2)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8, 2.3 * height + 0.6), layout="constrained")
        axes = figure.subplots(height, 2, sharex=True, squeeze=False)
        for panel in axes.flat[len(panels) :]:
            panel.set_visible(False)
        for panel, (title, rows, measure, level) in zip(axes.flat, panels, strict=False):
            for number, (one, line) in enumerate(rows.groupby("series", sort=False)):
                _against(panel, line, measure, colours.get(one, _GREY), number)
            panel.axhline(level, color=_GREY, linestyle=":", linewidth=0.8)
            panel.set_title(textwrap.fill(title, 52), fontsize=9)
        _share_y([panel for panel in axes[1:].flat if panel.get_visible()])
        _factor_axis(axes[0, 0], sorted(set(effects["x"])))
        for panel in axes.flat[len(panels) - 2 : len(panels)]:  # the lowest of its column
            panel.tick_params(labelbottom=True)
            panel.set_xlabel(name)
        lines = [axes[0, 0].plot([], [], "o-", color=colours[one])[0] for one in series]
        figure.legend(lines, series, loc="outside lower center", ncols=min(4, len(lines)))
        return _to_svg(figure, file, f"Effects and premise against {name}")


def _against(axes: Axes, rows: pd.DataFrame, measure: str, colour: str, number: int) -> None:
    """Draws one number of a series against x: a point a level, with both of its intervals.

    number: of the series; the intervals over seeds of several stand side by side.
    """
    rows = rows.sort_values("x", kind="stable")
    axes.plot(rows["x"], rows[measure], color=colour, linewidth=0.6)
    offset = ScaledTranslation((5 + 3 * number) / 72, 0, axes.figure.dpi_scale_trans)
    beside = axes.transData + offset
    for row in rows.to_dict("records"):
        for cluster, width, place in (("domains", 2, axes.transData), ("seeds", 0.8, beside)):
            ends = [row[f"{measure}_{cluster}_{end}"] for end in ("low", "high")]
            axes.plot([row["x"]] * 2, ends, color=colour, linewidth=width, transform=place)
            axes.update_datalim([(row["x"], end) for end in ends])  # of what stands beside, too
        inside = "none" if row["fails"] else colour
        axes.plot(row["x"], row[measure], "o", markersize=5, color=colour, markerfacecolor=inside)


def _share_y(axes: Sequence[Axes]) -> None:
    """The same limits for all."""
    limits = [end for panel in axes for end in panel.get_ylim()]
    for panel in axes:
        panel.set_ylim(min(limits), max(limits))


def is_logarithmic(values: Collection[float]) -> bool:
    """Whether the axis of a factor is: its positive values span more than a factor of ten, and none
    is below zero. A zero stands where the next level below the positive ones might."""
    positive = [value for value in values if value > 0]
    return min(values) >= 0 and max(positive) / min(positive) > 10


def _factor_axis(axes: Axes, values: Sequence[float]) -> None:
    """The scale of a factor, and a tick at each of its values that has room for its label."""
    places = np.asarray(values, dtype=float)
    if is_logarithmic(values):
        to_place, to_value = _logarithmic_with_zero(places[places > 0])
        axes.set_xscale("function", functions=(to_place, to_value))
        axes.autoscale_view(scaley=False)  # the margins were those of a linear axis
        places = to_place(places)
    ticks = [0]
    for i, place in enumerate(places):
        if place - places[ticks[-1]] > 0.12 * (places[-1] - places[0]):
            ticks.append(i)
    axes.set_xticks([values[i] for i in ticks], labels=[compact(values[i]) for i in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _logarithmic_with_zero(positive: np.ndarray) -> tuple[Callable, Callable]:
    """Functions from values to places, and back: the logarithm from the least positive value on;
    below it a line, on which zero stands as far from it as two of these do on average."""
    least, step = positive[0], np.log(positive[-1] / positive[0]) / (len(positive) - 1)

    def to_place(values: np.ndarray) -> np.ndarray:
        return np.where(
            values < least, (values / least - 1) * step, np.log(np.maximum(values / least, 1))
        )

    def to_value(places: np.ndarray) -> np.ndarray:
        return least * np.where(places < 0, 1 + places / step, np.exp(np.maximum(places, 0)))

    return to_place, to_value


def by_premise_figure(models: pd.DataFrame, sides: pd.DataFrame, contrast: str) -> str:
    """A dot a pretrained model: its effect against its premise, hollow where the premise fails. On
    either side of `PREMISE` a line is the mean, the band its interval over models.

    Args:
      models, sides: what `by_premise.models` and `by_premise.sides` return.
      contrast: the name of the effect.
    """
    low, high = min(0.45, models["premise"].min() - 0.02), 1.02
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8, 3), layout="constrained")
        for axes, measure in zip(figure.subplots(1, 2), ("margin", "rate"), strict=True):
            for is_above, part in models.groupby(models["premise"] > PREMISE):
                inside = _BLUE if is_above else "none"
                style = dict(markersize=4.5, color=_BLUE, markerfacecolor=inside, alpha=0.8)
                axes.plot(part["premise"], part[measure], "o", **style)
            axes.set_ylim(axes.get_ylim())  # of the dots: a band over two of them knows no end
            for side in sides.to_dict("records"):
                ends = [PREMISE, high] if side["above"] else [low, PREMISE]
                axes.plot(ends, [side[measure]] * 2, color=_GREY, linewidth=1.2)
                band = [side[f"{measure}_models_{end}"] for end in ("low", "high")]
                axes.fill_between(ends, *band, color=_GREY, alpha=0.2, linewidth=0)
            axes.axhline(0, color=_GREY, linestyle=":", linewidth=0.8)
            axes.axvline(PREMISE, color=_GREY, linestyle=":", linewidth=0.8)
            axes.set_xlim(low, high)
            unit = ", nats a token" if measure == "margin" else ""
            axes.set_title(f"{contrast}, {measure}{unit}")
            axes.set_xlabel("premise")
        return _to_svg(figure, "by-premise", f"{contrast} of each pretrained model by its premise")


def training_figure(curves: pd.DataFrame, config: dict) -> str:
    """A panel a stage: training loss as a thin line, held-out loss dashed with points.

    There is one line a chain and seed, in the colour of the first arm that has the chain.

    Args:
      curves: what `reading.read_curves` returns; chains of other arms are left out.
    """
    colour_of_chain = _chain_colours(config)
    curves = curves[curves["chain"].isin(colour_of_chain)]
    chains = [configs.chain_of(config, arm)[0] for arm in config["arms"]]
    stages = sorted(  # in the order in which the arms train them
        dict.fromkeys(stage for chain in chains for stage in chain),
        key=lambda stage: max(chain.index(stage) for chain in chains if stage in chain),
    )
    columns = min(3, len(stages))
    rows = -(-len(stages) // columns)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8, 2.6 * rows + 0.5), layout="constrained")
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for panel in panels.flat[len(stages) :]:
            panel.set_visible(False)
        for panel, stage in zip(panels.flat, stages, strict=False):
            curves_of_stage = curves[curves["stage"] == stage]
            for (chain, _), steps in curves_of_stage.groupby(["chain", "fingerprint"]):
                colour = colour_of_chain[chain]
                loss = steps.dropna(subset=["loss"])
                held_out = steps.dropna(subset=["held_out_loss"])
                panel.plot(loss["step"], loss["loss"], color=colour, linewidth=1)
                panel.plot(
                    held_out["step"], held_out["held_out_loss"], "o--", color=colour, markersize=3
                )
            title = f"Stage {stage}"
            size = min(_STYLE["axes.titlesize"], 270 / len(title))  # wider ones would overlap
            panel.set_title(title, fontsize=size)
            panel.set_xlabel("update")
        for panel in panels[:, 0]:
            panel.set_ylabel("loss, nats a token")
            panel.set_ylim(bottom=0)
        trained = {arm: c for arm, c in _trained_colours(config).items() if config["arms"][arm]}
        lines = [panels[0, 0].plot([], [], color=colour)[0] for colour in trained.values()]
        lines += panels[0, 0].plot([], [], "o--", color=_GREY, markersize=3)
        figure.legend(
            lines, [*trained, "held-out loss"], loc="outside lower center", ncols=min(4, len(lines))
        )
        return _to_svg(figure, "training", "Training loss and held-out loss by stage")


def _points(
    axes: Axes,
    estimates: pd.DataFrame,
    seeds: pd.DataFrame,
    measure: str,
    colours: Mapping[str, str],
) -> None:
    """Draws a row for each name, the first on top: the mean, and a thick line, the interval over
    domains; below them a dot a seed, and a thin line, the interval over seeds."""
    for y, (_, row) in enumerate(estimates.iterrows()):
        colour = colours[row["name"]]
        for cluster, width, place in (("domains", 2, y), ("seeds", 0.8, y + 0.28)):
            ends = [row[f"{measure}_{cluster}_{end}"] for end in ("low", "high")]
            axes.plot(ends, [place] * 2, color=colour, linewidth=width)
        axes.plot(row[measure], y, marker="o", markersize=7, color=colour)
        dots = seeds.loc[seeds["name"] == row["name"], measure]
        axes.plot(dots, [y + 0.28] * len(dots), "o", markersize=3, color=colour, alpha=0.8)
    axes.set_yticks(range(len(estimates)), labels=estimates["name"])
    axes.set_ylim(len(estimates) - 0.4, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _to_svg(figure: Figure, name: str, label: str) -> str:
    """The figure as SVG text for a file and for a page: without date and version, with a label for
    screen readers, and ids that no other figure of the page has."""
    file = io.BytesIO()
    FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(file.getvalue())
    metadata = root.find(f"{{{_SVG}}}metadata")
    if metadata is not None:
        root.remove(metadata)
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == f"{{{_XLINK}}}href" and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif value.startswith("url(#"):
                element.set(key, f"url(#{name}-{value[5:]}")
    root.set("role", "img")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
