"""Lint, format and types are part of the tests, in their first minute."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command", ["ruff check --no-cache .", "ruff format --check --no-cache .", "mypy"], ids=lambda text: text[:11]
)
def test_code_is_clean(command, tmp_path):
    tool, *arguments = command.split()
    cache = ["--cache-dir", str(tmp_path)] if tool == "mypy" else []
    done = subprocess.run(
        [sys.executable, "-m", tool, *arguments, *cache], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
