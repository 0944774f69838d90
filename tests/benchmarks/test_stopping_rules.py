"""The table of stopping rules, on curves made by hand, and a short run of the whole."""

import numpy as np
import pytest
import stopping_rules as benchmark

from zoo.training import Patience


def curves(losses, errors):
    return benchmark.Curves([{"loss": 1.0, "val_loss": loss} for loss in losses], errors)


def test_a_rule_is_worth_its_lowest_loss_until_it_stops():
    run = curves([4.0, 2.2, 3.0, 2.0, 5.0], [9.0, 7.0, 6.0, 8.0, 1.0])
    assert benchmark.apply(Patience("val_loss", patience=1), run) == (True, 3, pytest.approx(10), 7.0)
    assert benchmark.apply(Patience("val_loss", patience=2), run) == (False, 5, 0, 8.0)


def test_the_best_rule_gives_up_the_least_and_is_the_fastest_of_those(monkeypatch):
    rules = {f"P{n}": lambda n=n: Patience("val_loss", patience=n) for n in (1, 2, 3)}
    monkeypatch.setattr(benchmark, "RULES", rules)
    run = curves([4, 2, 3, 1, 5, 5, 5, 5], [9, 7, 6, 8, 1, 1, 1, 1])
    rows = {row["rule"]: row for row in benchmark.table([run, run])}
    assert list(rows) == ["P1", "P2 (best)", "P3", "all epochs"]
    assert [row["epochs"] for row in rows.values()] == ["3.0", "6.0", "7.0", "8.0"]
    assert [row["relative"] for row in rows.values()] == ["0.50", "1.00", "1.17", "1.33"]
    assert [row["loss given up %"] for row in rows.values()] == ["100.00", "0.00", "0.00", "0.00"]
    assert [row["stopped"] for row in rows.values()] == ["2/2", "2/2", "2/2", "0/2"]
    assert [row["wins"] for row in rows.values()] == ["2", "0", "0", "0"]


def test_noise_is_in_the_training_labels_alone():
    clean, noisy = benchmark.digits(0), benchmark.digits(0, noise=0.3)
    for split, changed in (("train", 0.27), ("validation", 0), ("test", 0)):
        assert (clean[split][0] == noisy[split][0]).all()
        assert (clean[split][1] != noisy[split][1]).mean() == pytest.approx(changed, abs=0.04)


def test_waveforms_have_the_published_error_of_bayes_rule():
    """14 %, of the book; computed here from triangles drawn by hand, by likelihood over the share in small steps."""
    up = [0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1, 0]
    left, middle, right = (np.array([0] * lead + up + [0] * (8 - lead)) for lead in (0, 4, 8))
    share = np.linspace(0.005, 0.995, 100)[:, np.newaxis]
    means = [share * one + (1 - share) * two for one, two in ((middle, right), (middle, left), (right, left))]
    signals, labels = benchmark.waveform(0)["test"]
    likelihoods = [np.exp(-((signals[:, :, 0][:, np.newaxis] - mean) ** 2).sum(-1) / 2).sum(-1) for mean in means]
    assert (np.argmax(likelihoods, 0) != labels).mean() == pytest.approx(0.14, abs=0.012)


def test_a_short_run(tmp_path, capsys):
    tables = benchmark.main(["--seeds", "1", "--epochs", "3", "--out", str(tmp_path / "table.md")])
    assert list(tables) == ["digits", "digits, noise", "waveform"]
    assert all(len(rows) == len(benchmark.RULES) + 1 for rows in tables.values())
    assert all(0 <= float(row["test error %"]) < 80 for rows in tables.values() for row in rows)
    assert (tmp_path / "table.md").read_text().strip() == capsys.readouterr().out.strip()


def test_a_number_of_seeds_below_one_is_refused(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--seeds", "0"])
    assert "--seeds must be at least 1. Received: 0" in capsys.readouterr().err
