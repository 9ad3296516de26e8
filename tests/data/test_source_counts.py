"""Records, tokens and rows of each source, from packed rows."""

import pytest

from vcjax.data.packing import Example, pack
from vcjax.data.source_counts import SourceCounts, count


def test_each_source_is_counted_alone():
    """The second record has an example without weight in front, and is longer than a row."""
    weighted, prompt = [1.0] * 5, [0.0] * 3 + [1.0] * 9
    examples = [
        Example(range(5), weighted, 0),
        Example(range(12), prompt, 1),
        Example(range(5), weighted, 2),
    ]
    packed = pack(examples, 8)
    found = count(
        packed,
        names=["a", "b", "a"],
        sources={"a": ("a.jsonl", ""), "b": ("hub:org/b", "0123")},
        broken={"a": ["a.jsonl:3: blank", "a.jsonl:4: blank"], "b": []},
    )
    assert {name: one.rows for name, one in found.items()} == {"a": 1, "b": 2}
    assert found["a"] == SourceCounts("a.jsonl", "", 2, 8, 8, 1, 2, "a.jsonl:3: blank")
    assert found["b"] == SourceCounts("hub:org/b", "0123", 1, 11, 9, 2)
    assert sum(one.tokens for one in found.values()) == packed.counts["tokens"]
    total = sum(one.weighted_tokens for one in found.values())
    assert total == pytest.approx(packed.counts["weighted_tokens"])
