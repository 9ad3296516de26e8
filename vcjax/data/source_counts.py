"""What a stage trains on of each of its sources, counted in its packed rows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vcjax.data.packing import Packed


@dataclass(frozen=True)
class SourceCounts:
    """Of one source. source: as the config names it; "" of texts that were written for a spec."""

    source: str
    revision: str  # commit of a data set of the hub, else ""
    records: int
    tokens: int  # of packed rows, as in the plan
    weighted_tokens: int
    rows: int  # packed rows that hold some of it
    left_out: int = 0  # records that cannot be used
    first_left_out: str = ""  # the place of the first of them, and what is wrong


def count(
    packed: Packed,
    names: Sequence[str],
    sources: Mapping[str, tuple[str, str]],
    broken: Mapping[str, Sequence[str]],
) -> dict[str, SourceCounts]:
    """names: the source of each record. sources: name -> source and revision."""
    tokens: Counter[str] = Counter()
    weighted = dict.fromkeys(sources, 0.0)
    rows: dict[str, set[int]] = {name: set() for name in sources}
    for piece in packed.placements:
        name, end = names[piece.document], piece.start + piece.count
        tokens[name] += piece.count
        weighted[name] += float(packed.loss_weights[piece.row, piece.start : end].sum())
        rows[name].add(piece.row)
    records = Counter(names)
    return {
        name: SourceCounts(
            *sources[name],
            records=records[name],
            tokens=tokens[name],
            weighted_tokens=round(weighted[name]),
            rows=len(rows[name]),
            left_out=len(broken.get(name, ())),
            first_left_out=next(iter(broken.get(name, ())), ""),
        )
        for name in sources
    }
