"""Sources of texts as a config names them: a path, and behind a world's path perhaps a value."""


def is_world(source: str) -> bool:
    """Whether it is a world, or a value of one."""
    return split_source(source)[0].endswith(".toml")


def split_source(source: str) -> tuple[str, str | None]:
    """(path, value): of "world.toml#durability" both, of any other source the path and None."""
    path, sign, value = source.rpartition("#")
    return (path, value) if sign and path.endswith(".toml") else (source, None)
