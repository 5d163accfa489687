"""Which commit of the code a model was trained with, and when."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
UNKNOWN = "unknown"


def git_sha(root: Path = REPOSITORY) -> str:
    """The commit: GIT_SHA if set (images hold no .git), else HEAD of the checkout, else "unknown".

    Reads git's files (gitrepository-layout(5)) rather than running git, which a training image
    need not have. Uncommitted changes don't show.
    """
    told = os.environ.get("GIT_SHA", "").strip()
    if told:
        return told
    try:
        return _head(_git_directory(root)) or UNKNOWN
    except OSError:
        return UNKNOWN


def created_at() -> datetime:
    """Now in UTC, or the moment that SOURCE_DATE_EPOCH names, in seconds since 1970.

    With it the same code and data give the same model files, byte for byte, and so the same image
    (reproducible-builds.org/specs/source-date-epoch). Raises ValueError where it is no such number.
    """
    told = os.environ.get("SOURCE_DATE_EPOCH", "").strip()
    if not told:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(told), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"SOURCE_DATE_EPOCH is {told!r}, no seconds since 1970") from error


def _git_directory(root: Path) -> Path:
    entry = root / ".git"
    if entry.is_file():  # a worktree: the file says where the directory is
        return root / entry.read_text("utf-8").removeprefix("gitdir:").strip()
    return entry


def _head(directory: Path) -> str | None:
    head = (directory / "HEAD").read_text("utf-8").strip()
    if not head.startswith("ref:"):
        return head
    ref = head.removeprefix("ref:").strip()
    common = directory / "commondir"
    shared = directory / common.read_text("utf-8").strip() if common.is_file() else directory
    if (shared / ref).is_file():
        return (shared / ref).read_text("utf-8").strip()
    for line in (shared / "packed-refs").read_text("utf-8").splitlines():
        sha, _, name = line.partition(" ")
        if name == ref:
            return sha
    return None
