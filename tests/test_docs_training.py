"""docs/training.md: its tests exist, its scripts make a TF_CONFIG that TensorFlow reads."""

import ast
import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest
import tensorflow as tf

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if re.match(r"\| F\d\d", line)]


def functions_of(path):
    """Each test function of a file, and whether all of it is marked as slow."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {
        node.name: "pytest.mark.slow" in map(ast.unparse, node.decorator_list)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }


def named_tests(row):
    """(file, test, whether the row calls it slow); a name without a file is of the file before."""
    path, slow = "", False
    for word in re.findall(r"slow:|`[^`]*::\w+`", row):
        if word == "slow:":
            slow = True
            continue
        file, _, name = word.strip("`").partition("::")
        path = file or path
        yield path, name, slow


def test_every_fault_has_its_row():
    faults = []
    for row in ROWS:
        first, *rest = map(int, re.findall(r"F(\d\d)", row.split("|")[1]))
        faults += range(first, rest[0] + 1) if "–" in row.split("|")[1] else [first, *rest]
    wanted = [*range(1, 9), *range(10, 16), *range(20, 29), *range(30, 33), *range(40, 45)]
    assert sorted(faults) == wanted


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_the_tests_of_a_fault_exist(row):
    tests = list(named_tests(row))
    assert tests or "F24" in row
    for path, name, slow in tests:
        assert functions_of(path).get(name) == slow, (
            f"{path} has no {name}, or it is slow and the table does not say so"
        )


def script(language, kind):
    return re.search(rf"```{language} {kind}\n(.*?)```", TEXT, re.DOTALL)[1]


def config_of(text, environment, tmp_path):
    """What TensorFlow reads of the TF_CONFIG that a script makes for its last command."""
    for name, content in (("zoo", 'printf "%s" "$TF_CONFIG"'), ("scontrol", r'printf "a7\na8\nb1\n"')):
        (tmp_path / name).write_text(f"#!/bin/bash\n{content}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **environment}
    return subprocess.run(["bash", "-euc", text], env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("index", [0, 2])
def test_scripts_make_a_cluster(index, tmp_path, monkeypatch):
    slurm = config_of(
        script("bash", "slurm-worker"), {"SLURM_JOB_NODELIST": "a[7-8],b1", "SLURM_PROCID": str(index)}, tmp_path
    )
    lines = script("yaml", "kubernetes").partition("- |\n")[2].partition("      volumes:")[0]
    kubernetes = config_of(textwrap.dedent(lines), {"JOB_COMPLETION_INDEX": str(index)}, tmp_path)
    for text, hosts in (
        (slurm, ["a7:29400", "a8:29400", "b1:29400"]),
        (kubernetes, [f"zoo-{place}.zoo:29400" for place in range(4)]),
    ):
        monkeypatch.setenv("TF_CONFIG", text)
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        assert resolver.cluster_spec().as_dict() == {"worker": hosts}
        assert (resolver.task_type, resolver.task_id) == ("worker", index)


def test_the_example_runs():
    exec(compile(re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1], "docs/training.md", "exec"), {})
