"""Reads a CSV file as numbered lines, and tells a damaged file from a bad line.

A file that can't be trusted as a whole (empty, cut off, not UTF-8, NUL bytes) is a ReadingError.
A line that doesn't fit (too few or many fields, unclosed quote) is rejected alone: each line is
one record, so an unclosed quote can't swallow the lines after it.
"""

import csv
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from data.readings import ReadingError


@dataclass(frozen=True)
class Rejected:
    """A line that is not loaded: its number (the header is 1), its text, and why."""

    line: int
    raw: str
    reason: str


@dataclass(frozen=True)
class TextTable:
    """The fields of a file: header, rows with their line numbers, and what was rejected."""

    header: list[str]
    rows: list[list[str]]
    lines: list[int]
    texts: list[str]
    rejected: list[Rejected] = field(default_factory=list)
    sha256: str = ""


def shown(path: Path) -> str:
    """Return the file's name, safe to print: control characters are escaped."""
    return ascii(path.name)[1:-1] if not path.name.isprintable() else path.name


def read_table(path: Path) -> TextTable:
    """Read a comma-separated UTF-8 file (byte-order mark and CRLF allowed; blank lines skipped).

    Raises ReadingError naming file, line and remedy.
    """
    name = shown(path)
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ReadingError(f"read {name}: {reason}: check the path and its permissions") from error
    lines = _decode(content, name).split("\n")
    terminated = lines[-1] == ""
    numbered = [
        (number, text)
        for number, line in enumerate(lines, start=1)
        if (text := line.removesuffix("\r")).strip()
    ]
    if not numbered:
        raise ReadingError(f"{name} is empty: fetch it again from its source")
    header = _fields(numbered[0][1])
    if header is None or len(set(header)) != len(header):
        raise ReadingError(f"{name}, line {numbered[0][0]}: the header repeats a name: rename it")
    if len(numbered) == 1:
        raise ReadingError(f"{name} has a header but no rows: fetch it again from its source")
    table = TextTable(header, [], [], [], [], hashlib.sha256(content).hexdigest())
    for number, text in numbered[1:]:
        fields = _fields(text)
        if fields is None:
            table.rejected.append(Rejected(number, text, "a quote is not closed"))
        elif len(fields) != len(header):
            reason = f"{len(fields)} fields instead of {len(header)}"
            table.rejected.append(Rejected(number, text, reason))
        else:
            table.rows.append(fields)
            table.lines.append(number)
            table.texts.append(text)
    last = numbered[-1][0]
    if not terminated and table.rejected and table.rejected[-1].line == last:
        raise ReadingError(
            f"{name}, line {last}: the file ends in the middle of a line: fetch it again"
        )
    return table


def _decode(content: bytes, name: str) -> str:
    """Return the text of a UTF-8 file without its byte-order mark."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ReadingError(f"{name} is UTF-16: convert it with iconv -f UTF-16 -t UTF-8")
    nul = content.find(b"\0")
    if nul >= 0:
        line = content.count(b"\n", 0, nul) + 1
        raise ReadingError(f"{name}, line {line}: NUL byte, the file is damaged: fetch it again")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ReadingError(
            f"{name}, line {line}: not UTF-8: fetch it again, "
            "or convert it (iconv -f LATIN1 -t UTF-8) if it is Latin-1"
        ) from error


def _fields(text: str) -> list[str] | None:
    """Return the stripped fields of one line, None when a quote is not closed."""
    if '"' not in text:
        return [value.strip() for value in text.split(",")]
    try:
        return [value.strip() for value in next(csv.reader([text], strict=True))]
    except csv.Error:
        return None
