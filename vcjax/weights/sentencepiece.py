"""A SentencePiece BPE as one of the `tokenizers` library, from its pieces, scores and types."""

from collections.abc import Mapping, Sequence

from gguf import TokenType
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

SPACE = "▁"  # as which pieces have a space


def tokenizer(pieces: Sequence[str], scores: Sequence[float], types: Sequence[int]) -> Tokenizer:
    """What `transformers` makes of it (its GemmaTokenizer), without the token before a text.

    pieces: their ids are their places. As in GGUF those that are user-defined are written with
    spaces, the others with SPACE. types: gguf's TokenType of each. No text gets a space before it.
    """
    vocab, score_of, added = {}, {}, []
    for id_, (piece, score, type_) in enumerate(zip(pieces, scores, types, strict=True)):
        if type_ == TokenType.UNUSED:  # fills the embeddings up
            continue
        if type_ == TokenType.USER_DEFINED:  # SentencePiece takes these before all others
            piece, score = piece.replace(" ", SPACE), 0.0
        vocab[piece], score_of[piece] = id_, score
        if type_ not in (TokenType.NORMAL, TokenType.BYTE):
            special = type_ != TokenType.USER_DEFINED
            added.append(AddedToken(piece, special=special, normalized=False))
    made = Tokenizer(models.BPE(vocab, merges(score_of), byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", SPACE)
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    made.add_tokens(added)
    return made


def merges(scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """All pairs of pieces that make a piece, in the order in which BPE takes them: by the score of
    that piece, then by how long the left part is, then the right. scores: piece -> score."""
    pairs = [
        (piece[:cut], piece[cut:])
        for piece in scores
        for cut in range(1, len(piece))
        if piece[:cut] in scores and piece[cut:] in scores
    ]
    return sorted(pairs, key=lambda pair: (scores["".join(pair)], *map(len, pair)), reverse=True)
