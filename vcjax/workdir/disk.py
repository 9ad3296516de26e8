"""What a disk refuses, as one line for a person."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator

GOES_ON = "start the same command again, and it goes on from what is there"
REMEDIES = {
    errno.ENOSPC: f"free some space and {GOES_ON}",
    errno.EDQUOT: f"free some space of your quota and {GOES_ON}",
    errno.EFBIG: f"raise the limit on the size of files (ulimit -f) and {GOES_ON}",
    errno.EROFS: f"make it writable and {GOES_ON}",
    errno.EACCES: f"give yourself the permission and {GOES_ON}",
    errno.EPERM: f"give yourself the permission and {GOES_ON}",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ELOOP: "mend its symbolic links",
    errno.ENOTDIR: "a file stands where a folder is needed; move it away",
    errno.EISDIR: "a folder stands where a file is needed; move it away",
    errno.EMFILE: f"raise the limit on open files (ulimit -n) and {GOES_ON}",
    errno.EIO: f"look at the disk; when it works again, {GOES_ON}",
}
# How TensorStore, below Orbax, words an error: ... "PATH": ... [os_error_code='28']
OF_TENSORSTORE = re.compile(r"os_error_code='(\d+)'")
PATH = re.compile(r'"(/[^"]*)"')
# Other libraries in C++ give the text of the operating system alone.
BY_TEXT = {os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)}


def explain(error: BaseException) -> str | None:
    """The path, what the disk refused and what to do; None where the error is no refusal of a disk.

    Looks at the errors that led to this one, too.
    """
    refusals = []
    chain: BaseException | None = error
    while chain is not None:
        number, path = _cause(chain)
        if number in REMEDIES:
            refusals.append((number, path))
        chain = chain.__cause__ or chain.__context__
    if not refusals:
        return None
    number, path = next((refusal for refusal in refusals if refusal[1]), refusals[0])
    return f"{path or 'a file'}: {os.strerror(number)}; {REMEDIES[number]}"


def _cause(error: BaseException) -> tuple[int | None, str | None]:
    """(the number of the operating system's error, the path), as far as the error tells them."""
    if isinstance(error, OSError) and error.errno is not None:
        # Of a failed rename or copy it is the second name that was to be written.
        name = error.filename2 or error.filename
        return error.errno, None if name is None else os.fsdecode(name)
    text = str(error)
    paths = PATH.findall(text)
    path = paths[-1] if paths else None
    code = OF_TENSORSTORE.search(text)
    if code:
        return int(code[1]), path
    return next((number for words, number in BY_TEXT.items() if words in text), None), path


@contextlib.contextmanager
def writing(path: os.PathLike) -> Iterator[None]:
    """Gives the path to a refusal that comes without one, as that of a write or a flush does."""
    try:
        yield
    except Exception as error:
        number, known = _cause(error)
        if number not in REMEDIES or known is not None:
            raise
        assert number is not None
        raise OSError(number, os.strerror(number), os.fspath(path)) from error
