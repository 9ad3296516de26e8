"""The text of tokens as they come, and the strings at which it stops."""

from collections.abc import Sequence

from tokenizers.decoders import DecodeStream

from vcjax.data.tokenizer import Tokenizer

CONTEXT = 8  # tokens of the prompt; some decoders drop a space where a text begins


class Text:
    """The text that tokens add to a prompt, up to the first of the stop strings.

    Control tokens are written by their names. A character whose bytes are not all there yet is not
    in the text yet.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int], stop: Sequence[str]):
        self.value = ""
        self.stopped = False
        self._bpe = tokenizer.bpe
        self._names = tokenizer.control_names
        before = [id_ for id_ in prompt[-CONTEXT:] if id_ not in self._names]
        self._stream = DecodeStream(ids=before, skip_special_tokens=False)
        self._stop = tuple(stop)

    def add(self, token: int) -> None:
        """Adds a token; does nothing once the text has stopped."""
        if self.stopped:
            return
        if token in self._names:
            piece, self._stream = self._names[token], DecodeStream(skip_special_tokens=False)
        else:
            piece = self._stream.step(self._bpe, token) or ""
        old = len(self.value)
        self.value += piece
        ends = [self.value.find(s, max(0, old - len(s) + 1)) for s in self._stop]
        if found := [end for end in ends if end >= 0]:
            self.value, self.stopped = self.value[: min(found)], True

    @property
    def certain(self) -> str:
        """The text without an end that may become a stop string."""
        held = max((_overlap(self.value, s) for s in self._stop), default=0)
        return self.value if self.stopped else self.value[: len(self.value) - held]


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of the text that the stop string begins with."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
