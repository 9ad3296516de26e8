"""What each remat policy saves of a block for the backward pass; the rest is computed again.

"attended" is the attention's output (with its normaliser, where a kernel has one), "middle" the
residual stream between attention and MLP, "inner" x A of an adapter. Where what comes out of both
is normalised, "middle" is what comes out of the attention instead, before its norm, and "down" what
comes out of the MLP; other models save no "down". From least memory to least work; "offload" saves
all but what the MLP computes inside, most of it in the host's memory. This imports no JAX, so that
a config can be checked without it.
"""

SAVED: dict[str, tuple[str, ...]] = {
    "full": (),
    "offload": ("attended", "middle", "down", "q", "k", "v", "inner"),
    "attended": ("attended", "middle", "down"),
    "middle": ("attended", "middle", "down", "q"),
    "attention": ("attended", "q", "k", "v"),
    "gate": ("attended", "middle", "down", "q", "k", "v", "gate"),
    "dots": ("attended", "middle", "down", "q", "k", "v", "gate", "up", "inner"),
    # And all between them.
    "none": ("attended", "middle", "down", "q", "k", "v", "gate", "up", "inner"),
}
