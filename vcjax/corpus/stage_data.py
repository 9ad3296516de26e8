"""The data of one stage, as the plan counts it."""

import dataclasses
import math

from ml_collections import ConfigDict

from vcjax.data.source_counts import SourceCounts
from vcjax.models.lora import LoRA

TYPICAL_FILL = 0.97  # share of tokens in packed rows, where documents are shorter than a row


@dataclasses.dataclass(frozen=True)
class StageData:
    """The data of one stage and seed: packed rows, or an adapter that is taken over."""

    rows_id: str  # hash of the rows' content, the name of their folder in workdir/rows
    held_out_id: str | None  # likewise, of the held-out documents
    rows: int
    documents: int
    held_out_documents: int
    tokens: int
    weighted_tokens: int
    split_documents: int
    most_documents: int  # in one row, held-out ones included
    left_out_tokens: int = 0  # of parts of split documents in which no token has weight
    sources: dict[str, SourceCounts] = dataclasses.field(default_factory=dict)  # by their names
    parts: tuple[int, ...] = ()  # rows of each source, where these come one after another
    lora: LoRA | None = None  # of an adapter

    @classmethod
    def for_adapter(cls, identity: str, lora: LoRA) -> "StageData":
        """Of a stage that trains nothing and takes over an adapter; identity: a hash of it."""
        return cls(identity, None, 0, 0, 0, 0, 0, 0, 0, lora=lora)

    @classmethod
    def stated(cls, name: str, stage: ConfigDict) -> "StageData":
        """By the counts that a stage's config states of a file that is not here, less what its
        limits leave out; with a mix these are of what all sources give, limits and all."""
        records, tokens, weighted = (
            stage.stated[key] for key in ("records", "tokens", "weighted_tokens")
        )
        if not stage.get("mix"):
            limits = [(stage.get("rows", 0), records), (stage.get("tokens", 0), weighted)]
            part = min([1.0, *(limit / there for limit, there in limits if limit and there)])
            records, tokens, weighted = (round(n * part) for n in (records, tokens, weighted))
        rows = math.ceil(tokens / (stage.length * TYPICAL_FILL))
        return cls(f"stated {name}", None, rows, records, 0, tokens, weighted, 0, 0)
