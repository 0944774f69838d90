"""The report of a search."""

from pathlib import Path

from tuning.records import REPORT, Search


def write_report(search: Search) -> Path:
    """Write it."""
    return search.folder / REPORT
