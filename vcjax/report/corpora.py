"""The texts that a run's stages trained on, as reports read them from its rows.

One corpus a stage, from its first seed; the other seeds' texts are drawn in the same way.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from etils import epath

from vcjax.plan import Plan, StagePlan
from vcjax.probes.words import Phrase, folded, words
from vcjax.workdir import files

T = TypeVar("T")

READ = 1_000  # documents of a corpus, from all parts of it, whose words are compared


class Corpus(NamedTuple):
    """What a stage trained on.

    records: the lines of its documents.jsonl. words: those of its documents, of at most READ
    of them; none of demonstrations. noted: what `stage_texts.note` returned; empty where the run's
    vcjax did not note it.
    """

    stage: StagePlan
    records: list[dict]
    words: list[Phrase]
    noted: dict[str, Any]

    def statements(self) -> list[tuple[str, str, str]]:
        """(source, section, statement) of the specs that the documents are written from."""
        stated = self.noted.get("statements", ())
        return [(source, section, statement) for source, section, statement in stated]


def read(workdir: epath.Path, plan: Plan) -> dict[str, Corpus]:
    """Stage -> its corpus; without adapters, and stages whose rows are no longer there."""
    noted = _noted(workdir)
    corpora = {}
    for name, stage in plan.first_of_each().items():
        path = workdir / "rows" / stage.data.rows_id / "documents.jsonl"
        if stage.kind != "adapter" and path.exists():
            lines = path.read_text(encoding="utf-8").split("\n")  # a text may hold U+2028
            records = [json.loads(line) for line in lines if line]
            notes = noted.get(stage.data.rows_id, {})
            own = notes.get("own") or range(len(records))
            texts = spread([records[n]["text"] for n in own if "text" in records[n]], READ)
            of_texts = [words(folded(text)) for text in texts if stage.kind == "rationale"]
            corpora[name] = Corpus(stage, records, of_texts, notes)
    return corpora


def spread(texts: Sequence[T], count: int) -> list[T]:
    """So many of the texts, or all, from all parts of them: texts from two specs stand one after
    the other."""
    count = min(count, len(texts))
    return [texts[number * len(texts) // count] for number in range(count)]


def phrases(statement: str) -> list[Phrase]:
    """The words of a statement; its {variables}, which stand for names, are between the phrases."""
    return [words(folded(part)) for part in re.split("{[^{}]*}", statement)]


def _noted(workdir: epath.Path) -> dict[str, dict]:
    """Rows -> what was noted of their texts."""
    inputs = [files.read_json(path) or {} for path in sorted((workdir / "inputs").glob("*.json"))]
    return {one["data"]["rows_id"]: one["texts"] for one in inputs if "texts" in one}
