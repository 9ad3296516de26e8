"""Pages of transcripts: what models said, two arms side by side at the same prompt and seed.

They are plain HTML, and all of it can be read without JavaScript. Pages have every answer once; for
the two arms that the report compares, further pages have what differs between them.
"""

import dataclasses
import functools
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from vcjax.report import design, output
from vcjax.report.transcripts import link_names, listings
from vcjax.report.transcripts.listings import Listing
from vcjax.report.transcripts.prompts import Pair, Prompt, furthest_first, read


@dataclasses.dataclass(frozen=True)
class File:
    """A probe file's prompts and their pages. silent: arms that answered nothing of it.

    differing: where the two arms that stand side by side at first have different verdicts; None
    where one arm answered alone.
    """

    name: str
    prompts: list[Prompt]
    silent: list[str]
    everything: Listing
    differing: Listing | None

    @functools.cached_property
    def answers(self) -> int:
        return sum(prompt.count for prompt in self.prompts)

    @functools.cached_property
    def seeds(self) -> int:
        return len({seed for prompt in self.prompts for seed, _ in prompt.answers})

    @property
    def kind(self) -> str:
        """The kind of all its prompts."""
        return self.prompts[0].kind

    @functools.cached_property
    def values(self) -> set[str]:
        """Those that options of choices stand for."""
        return {value for prompt in self.prompts for _, value in prompt.options}

    def domains(self) -> list[dict[str, Any]]:
        """A row a domain, with a link to its first prompt."""
        links, differing = self.everything.links, self.differing.links if self.differing else {}
        rows = []
        for (split, domain), group in groupby(self.prompts, key=lambda p: (p.split, p.domain)):
            of_domain = list(group)
            rows.append(
                {
                    "domain": domain,
                    "split": split.replace("_", "-"),
                    "link": links[of_domain[0].key],
                    "prompts": len(of_domain),
                    "answers": sum(prompt.count for prompt in of_domain),
                    "differing": sum(prompt.key in differing for prompt in of_domain),
                }
            )
        return rows


def pages(rows: pd.DataFrame, config: dict) -> dict[str, str]:
    """Relative file name -> HTML of the pages below `report/transcripts/`; nothing without rows.

    The order of the rows has no influence.

    Args:
      rows: one an answer in text. Columns of all: arm, seed, file, kind ("said": names one of two
        options; "open": was scored; "refusal": to a request), id, domain, split, order, sample,
        messages (JSON), begun, answer, finish ("stop" or "length"), tokens. Of "said": value_0,
        value_1, option_0, option_1, named (0, 1 or NaN). Of "open": value, score (1 to 10 or NaN),
        failure, judge. Of "refusal": request (its kind), verdict ("refused", "answered" or
        "unclear").
      config: a run's, as JSON.

    Raises:
      ValueError: an arm has two answers to one prompt at the same seed and sample.
    """
    if rows.empty:
        return {}
    by_file = groupby(read(rows, config["toward"]), key=lambda prompt: prompt.file)
    prompts = {name: list(of_file) for name, of_file in by_file}
    stems = link_names.of_files(prompts)
    files = [_file(name, stems[name], prompts[name], config) for name in prompts]
    contents = {"index.html": _index(files, config)}
    for file in files:
        for listing in filter(None, (file.everything, file.differing)):
            for number, name in enumerate(listing.names, start=1):
                contents[name] = _page(file, listing, number, config)
    return contents


def _file(name: str, stem: str, prompts: list[Prompt], config: dict) -> File:
    answered = {arm for prompt in prompts for of in prompt.answers.values() for arm in of}
    in_order = design.arms_in_order(config)
    arms = [arm for arm in in_order if arm in answered] + sorted(answered.difference(in_order))
    pair, anchors = _side_by_side(arms, config), link_names.of_prompts(prompts)
    listed = ((prompt, prompt.answers) for prompt in prompts)
    everything = listings.listing(f"{stem}-all", listed, arms, pair, anchors, {})
    differing = None
    if pair:
        listed = ((prompt, prompt.differing(pair)) for prompt in furthest_first(prompts, pair))
        links = everything.links
        differing = listings.listing(f"{stem}-differ", listed, [*pair], pair, anchors, links)
    silent = [arm for arm in in_order if arm not in answered]
    return File(name, prompts, silent, everything, differing)


def _side_by_side(arms: Sequence[str], config: dict) -> Pair | None:
    """The two arms of the primary contrast, or the first and the last that answered."""
    chosen = design.compared(config)
    if chosen and {*chosen} <= {*arms}:
        return chosen
    return (arms[0], arms[-1]) if len(arms) > 1 else None


def _index(files: list[File], config: dict) -> str:
    answers = sum(file.answers for file in files)
    variables = {"config": config, "files": files, "answers": answers}
    return output.page("transcripts/index.html.jinja", variables)


def _page(file: File, listing: Listing, number: int, config: dict) -> str:
    parts = listing.pages[number - 1]
    names = listing.names
    firsts: dict[str, str] = {}
    for part in parts:
        firsts.setdefault(part.prompt.domain, part.anchor)
    variables = {
        "config": config,
        "file": file,
        "listing": listing,
        "number": number,
        "previous": names[number - 2] if number > 1 else "",
        "next": names[number] if number < len(names) else "",
        "parts": parts,
        "prompts": len({part.prompt.key for part in parts}),
        "is_all": listing is file.everything,
        "domains": firsts if listing is file.everything else {},
        "can_hide": len(listing.arms) <= listings.MOST_PAIRED,
    }
    return output.page("transcripts/page.html.jinja", variables)
