"""Real text that Unix systems have: manual pages, to be told apart by the section that they belong to."""

import gzip
import hashlib
import json
import re
from pathlib import Path

# Programs, system calls, functions, file formats, overviews, administration.
SECTIONS = ("1", "2", "3", "5", "7", "8")

# What names the section: the title line, references such as printf(3), dates and versions beside them.
_TITLE = re.compile(r"^[.'](?:TH|Dt|Dd|Os|so|\\\").*$", re.MULTILINE)
_REFERENCE = re.compile(r"\(\s*[1-9][a-z]*\s*\)|\b[1-9](?:pm|ssl|posix|perl|tcl)?\b", re.IGNORECASE)
_MACRO = re.compile(r"^[.']\s*[A-Za-z]{1,2}\b", re.MULTILINE)
_ESCAPE = re.compile(r"\\(?:f[A-Z]|f\([A-Z]{2}|f\[[^\]]*\]|\([a-z]{2}|s[-+]?\d|[&|^%e/,c0-]|\*\[[^\]]*\]|\*\(..|\*.)")
_WORD = re.compile(r"[a-z]{2,}")


def words_of(source: str) -> list[str]:
    """The words of a manual page in lower case, without what names its section.

    Args:
        source: The page as it is stored, in roff.

    Example:
        >>> words_of(".TH CP 1\\n.SH NAME\\ncp \\\\- copy files, see \\\\fBmv\\\\fR(1)")
        ['name', 'cp', 'copy', 'files', 'see', 'mv']
    """
    text = _TITLE.sub(" ", source)
    text = _MACRO.sub(" ", text)
    text = _ESCAPE.sub("", text)
    return _WORD.findall(_REFERENCE.sub(" ", text).lower())


def collect(root: Path, file: Path, *, most: int = 350, words: int = 120, seed: int = 0) -> dict[str, int]:
    """Write pages and their sections as JSON Lines, which `--data text:FILE` reads.

    Pages of one name are in one split, whatever their section.

    Args:
        root: Where pages lie, such as /usr/share/man.
        file: The file to write.
        most: Largest number of pages of a section.
        words: Words that are kept of a page, from its beginning on; shorter pages are left out.
        seed: Seed of choice and split.

    Returns:
        Number of pages of each section.

    Raises:
        ValueError: A section has fewer than 20 such pages.
    """
    counts, lines = {}, []
    for section in SECTIONS:
        pages: dict[str, str] = {}
        paths = sorted((root / f"man{section}").glob(f"*.{section}*"), key=lambda path: _hash(seed, path.name))
        for path in paths:
            if len(pages) == most:
                break
            stem = path.name.partition(".")[0].lower()
            if path.is_symlink() or stem in pages:
                continue
            found = words_of(_source(path))
            if len(found) >= words:
                pages[stem] = " ".join(found[:words])
        if len(pages) < 20:
            raise ValueError(f"{root / f'man{section}'} has {len(pages)} pages of {words} words; 20 are needed.")
        counts[section] = len(pages)
        for stem, text in pages.items():
            part = int(_hash(seed + 1, stem)[:8], 16) / 16**8
            split = "train" if part < 0.65 else "validation" if part < 0.8 else "test"
            lines.append(json.dumps({"text": text, "label": section, "split": split}))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return counts


def _source(path: Path) -> str:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return content.decode("utf-8", "replace")


def _hash(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
