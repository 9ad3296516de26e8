"""What each remat policy saves of a block for the backward pass; the rest is computed again.

"attended" is the attention's output (with its normaliser, where a kernel has one), "middle" the
residual stream between attention and MLP, "inner" x A of an adapter. From least memory to least
work; "offload" saves all but what the MLP computes, most of it in the host's memory. This imports
no JAX, so that a config can be checked without it.
"""

SAVED: dict[str, tuple[str, ...]] = {
    "full": (),
    "offload": ("attended", "middle", "q", "k", "v", "inner"),
    "attended": ("attended", "middle"),
    "middle": ("attended", "middle", "q"),
    "attention": ("attended", "q", "k", "v"),
    "gate": ("attended", "middle", "q", "k", "v", "gate"),
    "dots": ("attended", "middle", "q", "k", "v", "gate", "up", "inner"),
    "none": ("attended", "middle", "q", "k", "v", "gate", "up", "inner"),  # and all between them
}
