"""The one exception for what a person can put right."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message says what was wrong, where (file, line, field, config key) and what to do. The
    commands print it on one line and exit with code 2.
    """
