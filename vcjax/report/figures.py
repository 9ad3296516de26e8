"""The figures of a report as SVG text: the same tables give the same bytes.

The two arms of a pair are blue and vermillion, every second pair in lighter tones; other arms have
the rest of the palette. It is that of Okabe and Ito, whose colours can be distinguished with every
common colour blindness. All colours are mid-tones, readable on white and on black; within the page
text takes the page's colour.
"""

import io
import itertools
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
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


def _chain_colours(config: dict) -> dict[str, str]:
    """Chain of stages -> colour of the first arm that begins with it."""
    colours: dict[str, str] = {}
    for arm, colour in arm_colours(config).items():
        stages, _ = configs.chain_of(config, arm)
        for i in range(len(stages)):
            colours.setdefault(" > ".join(stages[: i + 1]), colour)
    return colours


def arms_figure(
    arms: pd.DataFrame, contrasts: pd.DataFrame, seeds: pd.DataFrame, config: dict
) -> str:
    """Arms above, contrasts below; margins left, rates right. A point is the mean, its line the
    interval over domains, a small dot one seed, a dashed line an arm without training.

    Args:
      arms, contrasts: what `tables.estimates` returns.
      seeds: what `tables.by_cluster` returns for "seed".
    """
    with matplotlib.rc_context(_STYLE):
        arms, contrasts, seeds = (
            table[in_group(table, headline(config))] for table in (arms, contrasts, seeds)
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


def runs_figure(runs: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]) -> str:
    """The same contrasts of several runs, a panel each: differences in rate, drawn as in
    `arms_figure`.

    Args:
      runs: title -> (contrasts, seeds), as of `arms_figure`, of held-out pairs of two values; the
        last contrast of each is the question.
    """
    columns = min(4, len(runs))
    rows = -(-len(runs) // columns)
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
            _points(panel, contrasts, seeds, "rate", colours)
            panel.axvline(0, color=_GREY, linestyle=":", linewidth=0.8)
            panel.set_title(title)
        figure.supxlabel("Difference in rate", fontsize=9)
        return _to_svg(figure, "runs", "Differences in rate of the same contrasts in several runs")


def factor_figure(name: str, effects: pd.DataFrame, people: pd.DataFrame) -> str:
    """Effects, and below them the premise, against a factor in which runs differ.

    A point is a run, hollow where its premise fails. Its thick line is the interval over domains,
    the thin one beside it that over seeds. Thin lines join the points and end with them. The axis
    of the factor is logarithmic where its values are positive and span more than a factor of ten.

    Args:
      name: of the factor.
      effects: contrasts, as `tables.estimates` has them, of all runs; with the columns x (the
        factor) and fails (whether the run's premise fails). The last contrast is the question.
      people: what `premise.shares` returns, of all runs, with the same columns; it may be empty.
    """
    question = effects["name"].iloc[-1]
    panels: list[tuple[str, pd.DataFrame, str, float, str]] = []  # the number is a dotted line's
    for contrast, rows in effects.groupby("name", sort=False):
        colour = _BLUE if contrast == question else _GREY
        panels += [(f"{contrast}: margin, nats a token", rows, "margin", 0, colour)]
        panels += [(f"{contrast}: rate", rows, "rate", 0, colour)]
    for whose, rows in people.groupby("people", sort=False) if len(people) else ():
        panels += [(f"Premise, {whose}", rows, "rate", PREMISE, _GREY)]
    height = -(-len(panels) // 2)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8, 1.75 * height + 0.4), layout="constrained")
        axes = figure.subplots(height, 2, sharex=True, squeeze=False)
        for panel in axes.flat[len(panels) :]:
            panel.set_visible(False)
        for panel, (title, rows, measure, level, colour) in zip(axes.flat, panels, strict=False):
            _against(panel, rows, measure, colour)
            panel.axhline(level, color=_GREY, linestyle=":", linewidth=0.8)
            panel.set_title(title, fontsize=9)
        effect_rows = effects["name"].nunique()
        for together in (axes[:effect_rows, 0], axes[:effect_rows, 1], axes[effect_rows:].flat):
            _share_y([panel for panel in together if panel.get_visible()])
        _factor_axis(axes[0, 0], sorted(set(effects["x"])))
        for panel in axes.flat[len(panels) - 2 : len(panels)]:  # the lowest of its column
            panel.tick_params(labelbottom=True)
            panel.set_xlabel(name)
        return _to_svg(figure, "runs", f"Effects and premise against {name}")


def _against(axes: Axes, rows: pd.DataFrame, measure: str, colour: str) -> None:
    """Draws one number of several runs against x: a point a run, with both of its intervals."""
    rows = rows.sort_values("x", kind="stable")
    axes.plot(rows["x"], rows[measure], color=colour, linewidth=0.6)
    beside = axes.transData + ScaledTranslation(5 / 72, 0, axes.figure.dpi_scale_trans)
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


def _factor_axis(axes: Axes, values: Sequence[float]) -> None:
    """The scale of a factor, and a tick at each of its values that has room for its label."""
    logarithmic = values[0] > 0 and values[-1] / values[0] > 10
    if logarithmic:
        axes.set_xscale("log")
    places = [math.log(value) if logarithmic else value for value in values]
    ticks = [0]
    for i, place in enumerate(places):
        if place - places[ticks[-1]] > 0.12 * (places[-1] - places[0]):
            ticks.append(i)
    axes.set_xticks([values[i] for i in ticks], labels=[compact(values[i]) for i in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def training_figure(curves: pd.DataFrame, config: dict) -> str:
    """A panel a stage: training loss as a thin line, held-out loss dashed with points.

    There is one line a chain and seed, in the colour of the first arm that has the chain.

    Args:
      curves: what `reading.read_curves` returns.
    """
    colour_of_chain = _chain_colours(config)
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
            panel.set_title(f"Stage {stage}")
            panel.set_xlabel("update")
        for panel in panels[:, 0]:
            panel.set_ylabel("loss, nats a token")
            panel.set_ylim(bottom=0)
        trained = {arm: c for arm, c in arm_colours(config).items() if config["arms"][arm]}
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
    """Draws a row for each name, the first on top: mean, interval over domains, a dot a seed."""
    for y, (_, row) in enumerate(estimates.iterrows()):
        colour = colours[row["name"]]
        ends = row[f"{measure}_domains_low"], row[f"{measure}_domains_high"]
        axes.plot(ends, (y, y), color=colour, linewidth=2)
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
