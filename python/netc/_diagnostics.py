"""Errors and warnings, with their places and fixes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Label:
    """A place in a source.

    Attributes
    ----------
    file : str
        The file, or what the source is.
    line, column : int
        From 1; columns count characters.
    text : str
        What is there.
    """

    file: str
    line: int
    column: int
    text: str


@dataclass(frozen=True)
class Fix:
    """A change of a source that fixes an error: `replace` (empty for an insertion) becomes `by`.

    Attributes
    ----------
    file : str
        The file.
    line, column : int
        From 1; columns count characters.
    replace, by : str
        The text that is there, and the one to write.
    """

    file: str
    line: int
    column: int
    replace: str
    by: str


@dataclass(frozen=True)
class Diagnostic:
    """An error or a warning.

    Attributes
    ----------
    code : str
        Stable, such as ``"E0301"``; ``netc explain CODE`` explains it.
    severity : {"error", "warning"}
        Whether the input is wrong, or only likely so.
    message : str
        One sentence.
    labels : tuple of Label
        The places; empty if it is about no source.
    notes, help : tuple of str
        Facts and advice.
    fixes : tuple of Fix
        Alternative fixes.
    """

    code: str
    severity: str
    message: str
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()

    @property
    def place(self) -> Label | None:
        """The first place, or None."""
        return self.labels[0] if self.labels else None

    def __str__(self) -> str:
        place = f"{self.place.file}:{self.place.line}:{self.place.column}: " if self.place else ""
        return f"{place}{self.severity}[{self.code}]: {self.message}"


class NetcError(ValueError):
    """What was given to netc is wrong: a spec, a file or an array.

    Its text has everything that the program would print.

    Attributes
    ----------
    diagnostics : tuple of Diagnostic
        All errors, and warnings beside them.
    """

    def __init__(self, text: str, diagnostics: tuple[Diagnostic, ...] = ()) -> None:
        super().__init__(text, diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return str(self.args[0]).rstrip()

    @property
    def _first(self) -> Diagnostic | None:
        errors = [diagnostic for diagnostic in self.diagnostics if diagnostic.severity == "error"]
        return errors[0] if errors else None

    @property
    def code(self) -> str | None:
        """The code of the first error, such as ``"E0301"``."""
        return self._first.code if self._first else None

    @property
    def place(self) -> Label | None:
        """The place of the first error, or None."""
        return self._first.place if self._first else None

    @property
    def help(self) -> tuple[str, ...]:
        """The advice of the first error."""
        return self._first.help if self._first else ()


class NetcWarning(UserWarning):
    """What was given to netc is right, but probably not meant so."""


def from_json(diagnostics: list[dict[str, Any]]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics of the program's JSON, ``netc check --format json``."""

    def one(fields: dict[str, Any]) -> Diagnostic:
        fields = dict(fields)
        labels = tuple(Label(**label) for label in fields.pop("labels"))
        fixes = tuple(Fix(by=fix.pop("with"), **fix) for fix in fields.pop("fixes"))
        notes, advice = tuple(fields.pop("notes")), tuple(fields.pop("help"))
        return Diagnostic(labels=labels, notes=notes, help=advice, fixes=fixes, **fields)

    return tuple(one(fields) for fields in diagnostics)
