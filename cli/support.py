"""What is supported, as sections of entries: shown in a terminal, as JSON, and as a document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

DOCUMENT_COMMAND = "inferflux inspect --supported --markdown > docs/supported.md"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an entry was held against, and by which test."""

    against: str
    by: str  # "tests/FILE.py::TEST"
    tries: str = (
        ""  # the table of which the test tries every entry; else it spells the entry's name
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is supported."""

    name: str
    facts: Mapping[str, str]
    tested: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Entries of one kind; all have the same facts."""

    title: str
    about: str
    entries: Sequence[Entry]


def rows(sections: Iterable[Section]) -> dict[str, list[dict[str, object]]]:
    """Each section's entries, by its title, with the tests of each."""
    return {section.title: [_row(entry) for entry in section.entries] for section in sections}


def page(sections: Iterable[Section]) -> dict[str, list[dict[str, str]]]:
    """The same for the eye: what entries were tested against, and not where."""
    return {
        section.title: [
            {"name": each.name, **each.facts, "tested against": _against(each)}
            for each in section.entries
        ]
        for section in sections
    }


def document(sections: Iterable[Section]) -> str:
    """All of it as Markdown."""
    head = (
        "# What is supported",
        "Written by the code itself, from the tables that it goes by. What is not listed is refused"
        f" by its name.\nTo write this page again: `{DOCUMENT_COMMAND}`.",
    )
    return "\n\n".join((*head, *map(_markdown, sections))) + "\n"


def _row(entry: Entry) -> dict[str, object]:
    tested = [{"against": each.against, "test": each.by} for each in entry.tested]
    return {"name": entry.name, **entry.facts, "tested": tested}


def _against(entry: Entry) -> str:
    return "; ".join(each.against for each in entry.tested)


def _markdown(section: Section) -> str:
    """The tests come first, by numbers that the entries refer to where they differ."""
    tests = list(dict.fromkeys(each for entry in section.entries for each in entry.tested))
    number = {each: str(at) for at, each in enumerate(tests, 1)}
    cells = {
        entry.name: ", ".join(number[each] for each in entry.tested) for entry in section.entries
    }
    if len({entry.tested for entry in section.entries}) == 1:
        cells = {}
    heading = f"## {section.title[0].upper()}{section.title[1:]}"
    listed = "\n".join(f"{number[each]}. {_linked(each)}" for each in tests)
    intro = f"{section.about} Tested against"
    return "\n\n".join((heading, intro, listed, _table(section.entries, cells)))


def _table(entries: Sequence[Entry], tested: Mapping[str, str]) -> str:
    columns = ["name", *entries[0].facts, *(["tested"] if tested else [])]
    lines = [_line(columns), _line(["---"] * len(columns))]
    for entry in entries:
        more = [tested[entry.name]] if tested else []
        lines.append(_line([f"`{entry.name}`", *entry.facts.values(), *more]))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _linked(evidence: Evidence) -> str:
    path, _, test = evidence.by.partition("::")
    return f"{evidence.against}: [{test}](../{path})"
