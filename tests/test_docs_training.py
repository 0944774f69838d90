"""docs/training.md: its tests exist, its scripts make a TF_CONFIG that TensorFlow reads."""

import os
import re
import subprocess
import textwrap

import pytest
import tensorflow as tf
from documented import check_tests_exist, faults, numbers, page

TEXT = page("training.md")
ROWS = faults(TEXT)


def test_every_fault_has_its_row():
    wanted = [*range(1, 9), *range(10, 16), *range(20, 29), *range(30, 33), *range(40, 45)]
    assert sorted(number for row in ROWS for number in numbers(row)) == wanted


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_the_tests_of_a_fault_exist(row):
    assert check_tests_exist(row)


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
