"""The arithmetic of the plan for many machines, by hand, and the measured form on a small network."""

import re
from pathlib import Path

import pytest
import scaling as benchmark


def test_what_each_worker_keeps_by_hand():
    # 100 MB over 8 Gbit/s, 1 GB/s: two workers send 100 MB each in 0.1 s, four 150 MB in 0.15 s.
    assert benchmark.kept(0.3, 100_000_000, 2, 8, 0) == pytest.approx(0.3 / 0.4)
    assert benchmark.kept(0.3, 100_000_000, 4, 8, 0) == pytest.approx(0.3 / 0.45)
    assert benchmark.kept(0.3, 0, 4, 8, 0.05) == pytest.approx(0.3 / 0.6)


def test_the_table_of_the_documentation_is_what_the_command_prints(capsys):
    text = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    python benchmarks/scaling.py (.*--devices.*)$", text, re.MULTILINE)
    benchmark.main(command.split())
    table = capsys.readouterr().out.split("\n\n")[1].strip()
    assert table in text


def test_machines_of_several_devices_by_hand():
    # 100 MB: two devices at 16 Gbit/s sum in 0.05 s, two machines at 8 Gbit/s in 0.1 s; a message takes 0.01 s.
    assert benchmark.kept(0.3, 100_000_000, 1, 8, 0, devices=2, device_gbits=16) == pytest.approx(0.3 / 0.35)
    assert benchmark.kept(0.3, 100_000_000, 2, 8, 0.01, 2, 16) == pytest.approx(0.3 / (0.45 + 0.04))


def test_the_table_of_machines(capsys):
    rows = benchmark.main(["--model", "resnet20", "--step-ms", "10", "--gbits", "10", "--devices", "8"])
    assert list(rows) == [1, 2, 4, 8, 16, 32, 64]
    text = capsys.readouterr().out
    assert "| machines of 8 devices | images/s at 10 Gbit/s |" in text
    assert f"| 2 | {16 * 800 * rows[2][0]:,.0f} ({100 * rows[2][0]:.0f} %) |" in text


def test_the_table(capsys):
    rows = benchmark.main(["--model", "resnet20", "--step-ms", "10", "--gbits", "10"])
    text = capsys.readouterr().out
    assert "resnet20: gradient 1.1 MB; step of 8 examples 10 ms (given), 800.0 images/s" in text
    assert list(rows) == [2, 4, 8, 16, 32, 64]
    kept = [row[0] for row in rows.values()]
    assert kept == sorted(kept, reverse=True)
    assert f"| 2 | {1600 * kept[0]:,.0f} ({100 * kept[0]:.0f} %) |" in text


def test_the_step_is_measured(capsys):
    benchmark.main(["--model", "simple_cnn", "--steps", "2"])
    assert "ms (measured)" in capsys.readouterr().out


def test_numbers_below_zero_are_refused(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--step-ms", "-1"])
    assert "--step-ms must be above 0. Received: -1" in capsys.readouterr().err
