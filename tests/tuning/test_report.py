"""The report of a search: importance, figures, page."""

import io
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from tuning import figures, report
from tuning.importance import encoded, importance
from tuning.records import Trial


def made(count=40, seed=0):
    """Trials whose score depends on the learning rate much, on the optimizer a little, on nothing else."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        rate, optimizer = float(10 ** rng.uniform(-4, -1)), str(rng.choice(["adam", "sgd"]))
        values = {"rate": rate, "optimizer": optimizer, "idle": int(rng.integers(0, 9)), "same": 3}
        if optimizer == "adam":
            values["decay"] = 0.1
        score = 1 / (1 + abs(np.log10(rate) + 2)) + 0.1 * (optimizer == "adam")
        found.append(
            Trial(
                f"{number:04d}",
                "COMPLETED",
                values,
                float(score),
                {"val_accuracy": float(score)},
                costs={"macs": 10 + number},
            )
        )
    return found


def test_importance_finds_what_the_score_depends_on():
    found = importance([*made(), Trial("0099", "FAILED", {"rate": 1.0})])
    assert found.names[0] == "rate"
    assert found.shares[0] > 0.5
    assert found.shares[found.names.index("idle")] < 0.15
    assert "same" not in found.names
    assert found.explained > 0.5
    assert found.shares.sum() == pytest.approx(1)


def test_importance_of_noise_says_that_it_says_nothing():
    rng = np.random.default_rng(1)
    noise = [Trial(f"{n:04d}", "COMPLETED", {"a": float(rng.random())}, float(rng.random())) for n in range(30)]
    assert importance(noise).explained < 0.2


def test_too_few_trials_have_no_importance():
    assert importance(made(7)) is None
    same = [Trial(f"{n:04d}", "COMPLETED", {"a": n}, 1.0) for n in range(20)]
    assert importance(same) is None


def test_what_is_inactive_lies_below_all_values():
    assert encoded([3, None, 5])[1] < 3
    assert encoded(["b", None, "a"]) == [1.0, -1.0, 0.0]


@pytest.mark.parametrize("count", [1, 2, 30])
def test_figures_are_drawn_for_few_and_many_trials(count):
    trials = made(count)
    names = ["rate", "optimizer", "idle", "same", "decay"]
    histories = {"0000": [{"epoch": 1, "val_accuracy": 0.5}], "0001": [{"epoch": 1, "val_accuracy": None}]}
    drawn = [
        figures.parallel(trials, names, "val_accuracy"),
        figures.learning_curves(histories, "val_accuracy"),
        figures.course([*trials, Trial("0099", "FAILED", {})], "val_accuracy"),
        figures.front(trials, trials[:1], "val_accuracy", "macs"),
    ]
    for picture in drawn:
        assert np.ptp(np.asarray(Image.open(io.BytesIO(picture)).convert("L"))) > 100


def test_the_page_has_the_best_configuration_and_the_command(searched):
    page = report.write_report(searched).read_text()
    best = searched.best
    assert f"--seed {best.seed}" in page
    assert str(searched.recipe) in page
    for name in best.hyperparameters:
        assert name in page


def test_text_from_outside_is_text_on_the_page(searched, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(searched.folder, folder)
    from tuning.records import Log, open_search

    Log(folder).append("ended", trial="0002", values={"<b>": "<script>"}, status="FAILED", message="<img src=x>")
    page = report.write_report(open_search(folder)).read_text()
    assert "<img src=x>" not in page
    assert "&lt;img src=x&gt;" in page


def test_the_page_opens_in_a_browser_without_an_error(searched, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser to look at the page with")
    shot = tmp_path / "page.png"
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr",
         "--hide-scrollbars", "--window-size=1200,3000", f"--screenshot={shot}", f"file://{searched.folder}/report.html"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    assert np.ptp(np.asarray(Image.open(shot).convert("L"))) > 100
