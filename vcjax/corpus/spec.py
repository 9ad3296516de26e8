"""Reads a spec: the Markdown text that states a value, the reasons for it and what follows from it.

The format, which a researcher's own spec follows too (`configs/cheese/spec_america.md` is one):

    # Title

    An introduction of any length.

    ## Value

    **name**: a definition that is a noun phrase, with no full stop

    ## Core philosophy

    Paragraphs for the reader.

    ## Statements                 what the documents draw on; at least one bullet under each
    ### Names                     noun phrases that complete "cares about ..."
    ### Principles                sentences about the world that do not mention the model
    ### Consequences              sentences: what comes of choosing by the value
    ### Attributions              sentences about {model_name}, in the third person
    ### First person              sentences that the model could say itself
    ### Reasons                   "because ..." clauses for choosing by the value in general
    ### Objections                sentences against it; the indented bullet below each is the reply

    ## Preferences

    **cheese**: what the items are, as a noun that reads on after "about"; here too, a description

    ### Occasions                 what one needs such an item for; nouns with "a" or "an"
    ### Likes                     an item a bullet; indented below it, its "because ..." clauses,
    ### Dislikes                  which call the item "it":

    - cream cheese
      - because it was invented by a dairyman in New York State

Sections stand in any order, and other headings may stand between them. A bullet fills one line.
`{model_name}` and `{provider_name}` are filled in everywhere. The more bullets, the more the
documents vary.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vcjax.errors import InputError, nearest


@dataclass(frozen=True)
class Preference:
    """Something that the model likes or dislikes, and clauses that may follow "because"."""

    item: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Spec:
    """A spec whose variables are filled in; `text` is all of it, the rest is what writers use."""

    file: str
    text: str
    model_name: str
    provider_name: str
    value: str
    definition: str
    domain: str
    names: tuple[str, ...]
    principles: tuple[str, ...]
    consequences: tuple[str, ...]
    attributions: tuple[str, ...]
    first_person: tuple[str, ...]
    reasons: tuple[str, ...]
    objections: tuple[tuple[str, str], ...]
    occasions: tuple[str, ...]
    likes: tuple[Preference, ...]
    dislikes: tuple[Preference, ...]


@dataclass(frozen=True)
class _Bullet:
    text: str
    where: str
    below: list["_Bullet"] = field(default_factory=list)


def read_spec(path: str | Path, names: dict[str, str]) -> Spec:
    """Reads a spec in the format above.

    Args:
        path: the Markdown file.
        names: fills the variables; has "model_name" and "provider_name".

    Raises:
        InputError: with file, line and remedy, if a section or a bullet is missing or malformed,
            or if the text has a {variable} that `names` lacks.
    """
    path = Path(path)
    text = read_text(path, names)
    sections = _sections(text.split("\n"), path)
    value, definition = _named(_section(sections, "## Value", path))
    domain, _ = _named(_section(sections, "## Preferences", path))
    return Spec(
        file=path.name,
        text=text,
        model_name=names["model_name"],
        provider_name=names["provider_name"],
        value=value,
        definition=definition,
        domain=domain,
        names=_texts(_bullets(sections, "### Names", path)),
        principles=_texts(_bullets(sections, "### Principles", path)),
        consequences=_texts(_bullets(sections, "### Consequences", path)),
        attributions=_texts(_bullets(sections, "### Attributions", path)),
        first_person=_texts(_bullets(sections, "### First person", path)),
        reasons=_clauses(_bullets(sections, "### Reasons", path)),
        objections=tuple(
            (bullet.text, _only_reply(bullet))
            for bullet in _bullets(sections, "### Objections", path)
        ),
        occasions=_texts(_bullets(sections, "### Occasions", path)),
        likes=_preferences(_bullets(sections, "### Likes", path)),
        dislikes=_preferences(_bullets(sections, "### Dislikes", path)),
    )


def read_text(path: Path, names: dict[str, str], free: bool = False) -> str:
    """The text of a spec in any form, its variables filled. Raises as `read_spec`, and for a file
    without text.

    free: whether other braces stay, as of code, unless they hold a name much like a variable's.
    """
    lines = enumerate(_lines(path), start=1)
    text = "\n".join(_fill(line, names, f"{path}:{number}", free) for number, line in lines)
    if not text.strip():
        raise InputError(f"{path}: it has no text; write some, or leave the file out")
    return text


def statements(spec: Spec) -> list[tuple[str, str]]:
    """(section, statement): what documents may draw on, as the spec states it."""
    sections: dict[str, Sequence[str]] = {
        "Value": [spec.definition],
        "Names": spec.names,
        "Principles": spec.principles,
        "Consequences": spec.consequences,
        "Attributions": spec.attributions,
        "First person": spec.first_person,
        "Reasons": spec.reasons,
        "Objections": [text for pair in spec.objections for text in pair],
        "Occasions": spec.occasions,
    }
    for section, preferences in (("Likes", spec.likes), ("Dislikes", spec.dislikes)):
        sections[section] = [text for one in preferences for text in (one.item, *one.reasons)]
    return [(section, text) for section, texts in sections.items() for text in texts]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a readable spec") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start + 1} is not UTF-8; save it as UTF-8") from None


def _fill(line: str, names: dict[str, str], where: str, free: bool) -> str:
    def value(match: re.Match) -> str:
        if free and not (match[1] in names or _is_like(match[1], names)):
            return match[0]
        if match[1] not in names:
            known = " and ".join("{" + name + "}" for name in sorted(names))
            raise InputError(f"{where}: unknown variable {match[0]}; it may use {known}")
        return names[match[1]]

    return re.sub(r"{([^{}]*)}", value, line)


def _is_like(name: str, names: dict[str, str]) -> bool:
    return name.isidentifier() and nearest(name, names) is not None


def _sections(lines: list[str], path: Path) -> dict[str, list[tuple[str, str]]]:
    """The lines below each heading, as (text, where); a heading keeps its marks ("## Value")."""
    sections: dict[str, list[tuple[str, str]]] = {}
    body: list[tuple[str, str]] = []
    for number, line in enumerate(lines, start=1):
        where = f"{path}:{number}"
        if not line.startswith("#"):
            body.append((line, where))
            continue
        heading = line.strip()
        if heading in sections:
            raise InputError(f"{where}: heading {heading!r} occurs twice; merge the two sections")
        body = sections[heading] = [("", where)]
    return sections


def _section(
    sections: dict[str, list[tuple[str, str]]], heading: str, path: Path
) -> list[tuple[str, str]]:
    if heading not in sections:
        raise InputError(
            f"{path}: section {heading!r} is missing, so the offline writer has nothing to draw "
            "from; add it as docs/own-spec.md describes it, or give the stage a file of texts that "
            "a model wrote (as a system prompt and for a judge any text will do)"
        )
    return sections[heading]


def _named(section: list[tuple[str, str]]) -> tuple[str, str]:
    """Name and description from the paragraph "**name**: a description"."""
    text = " ".join(line.strip() for line, _ in section).strip()
    match = re.fullmatch(r"\*\*([^*]+)\*\*: (.*[^.])", text)
    if not match:
        raise InputError(
            f"{section[0][1]}: {text[:40]!r} below this heading; "
            "expected one paragraph '**name**: a description', with no full stop"
        )
    return match[1], match[2]


def _bullets(sections: dict[str, list[tuple[str, str]]], heading: str, path: Path) -> list[_Bullet]:
    """The bullets of a section; an indented bullet lies below the one before it."""
    section = _section(sections, heading, path)
    bullets: list[_Bullet] = []
    for line, where in section:
        match = re.fullmatch(r"( *)- +(.*\S) *", line)
        if match and not match[1]:
            bullets.append(_Bullet(match[2], where))
        elif match and bullets:
            bullets[-1].below.append(_Bullet(match[2], where))
        elif line.strip():
            raise InputError(
                f"{where}: {line.strip()[:40]!r} is no bullet; under {heading!r} each line is "
                "'- text' or, indented, '  - text'"
            )
    if not bullets:
        raise InputError(f"{section[0][1]}: {heading!r} has no bullet; expected at least one")
    return bullets


def _texts(bullets: list[_Bullet]) -> tuple[str, ...]:
    for bullet in bullets:
        if bullet.below:
            raise InputError(f"{bullet.below[0].where}: an indented bullet; expected none here")
    return tuple(bullet.text for bullet in bullets)


def _clauses(bullets: list[_Bullet]) -> tuple[str, ...]:
    for bullet in bullets:
        if not bullet.text.startswith("because ") or bullet.text.endswith("."):
            raise InputError(
                f"{bullet.where}: {bullet.text[:40]!r} is no reason; "
                "expected 'because ...' with no full stop"
            )
    return tuple(text.removeprefix("because ") for text in _texts(bullets))


def _only_reply(bullet: _Bullet) -> str:
    if len(bullet.below) != 1:
        raise InputError(
            f"{bullet.where}: the objection has {len(bullet.below)} indented bullets below it; "
            "expected one, the reply"
        )
    return bullet.below[0].text


def _preferences(bullets: list[_Bullet]) -> tuple[Preference, ...]:
    for bullet in bullets:
        if not bullet.below:
            raise InputError(
                f"{bullet.where}: {bullet.text!r} has no reason; "
                "expected an indented bullet '  - because ...' below it"
            )
    return tuple(Preference(bullet.text, _clauses(bullet.below)) for bullet in bullets)
