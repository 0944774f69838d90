"""The table of ingredients: its folds, its choice, its memory, and a short run of the whole."""

import json

import numpy as np
import pytest
import recipe_ingredients as benchmark

import zoo


def test_folds_cover_training_and_validation_and_leave_the_test_split():
    digits = zoo.data.load("digits")
    known = {name for split in ("train", "validation") for name in digits.splits[split].names}
    test = {digits.splits["test"].names[index] for index in range(359)}
    held_out = []
    for fold in range(benchmark.FOLDS):
        data = benchmark.fold_data(fold)
        train, validation = (set(data.splits[split].names) for split in ("train", "validation"))
        assert train | validation == known
        assert not train & validation
        assert {data.splits["test"].names[index] for index in range(359)} == test
        held_out += validation
    assert sorted(held_out) == sorted(known)


def test_pictures_of_a_fold_are_those_of_their_names():
    digits, data = zoo.data.load("digits"), benchmark.fold_data(2)
    for index in (0, 50, 200):
        name = data.example_name("validation", index)
        split = next(split for split in ("train", "validation") if name in list(digits.splits[split].names))
        place = list(digits.splits[split].names).index(name)
        there, here = digits.splits[split].picture(place), data.splits["validation"].picture(index)
        np.testing.assert_array_equal(np.asarray(here), np.asarray(there))
        assert data.splits["validation"].labels[index] == digits.splits[split].labels[place]


def test_ingredients_are_put_together():
    names = ["shift by 1 pixel", "TrivialAugment", "mixup 0.2", "cutmix 1.0, half of the batches"]
    assert benchmark.combined(names) == {
        "augment": "shift=1+trivialaugment", "mixup": 0.2, "cutmix": 1.0, "mix_probability": 0.75
    }  # fmt: skip
    assert benchmark.combined(["label smoothing 0.1"]) == {"augment": "", "label_smoothing": 0.1}


def test_the_recipe_is_told_by_its_differences():
    recipe = zoo.training.recipe(benchmark.RECIPE).hyperparameters
    values = {**benchmark.PLAIN, **benchmark.differences(recipe), "epochs": recipe.epochs}
    assert benchmark.Hyperparameters(**values) == recipe


def test_the_interval_is_that_of_student():
    assert benchmark.interval([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(1.9632, abs=1e-4)


def test_a_training_is_kept_and_not_repeated(tmp_path):
    path = tmp_path / "results.jsonl"
    scores = benchmark.Results(path)._one("simple_cnn", benchmark.Hyperparameters(epochs=3), {}, 0)
    assert set(scores) == {"fold", "test"}
    assert 0.5 < scores["fold"] <= 1
    ((key, kept),) = map(json.loads, path.read_text().splitlines())
    assert kept == scores
    path.write_text(json.dumps([key, {"fold": 0.5, "test": 0.25}]) + "\n")
    again = benchmark.Results(path)._one("simple_cnn", benchmark.Hyperparameters(epochs=3), {}, 0)
    assert again == {"fold": 0.5, "test": 0.25}


def test_a_second_fold_begins_anew():
    """The graphs of the first are used again; weights and optimizer are not."""
    hyper = benchmark.Hyperparameters(**{**benchmark.PLAIN, "epochs": 3, "schedule": "cosine"})
    benchmark.learn("simple_cnn", hyper, 0)
    after_another = benchmark.learn("simple_cnn", hyper, 1)
    benchmark._Learner.key = ()
    assert benchmark.learn("simple_cnn", hyper, 1) == after_another


@pytest.mark.slow
@pytest.mark.exhaustive  # more of the trainings above
def test_a_short_run(tmp_path, capsys):
    options = ["--models", "simple_cnn", "--epochs", "3", "--out", str(tmp_path / "t.md")]
    rows = benchmark.main([*options, "--only", "label smoothing 0.1", "flip"])
    assert [row[1] for row in rows[:3]] == ["plain", "+ label smoothing 0.1", "+ flip"]
    better = [row[1][2:] for row in rows[1:3] if float(row[2]) > float(rows[0][2])]
    assert [row[1] for row in rows[3:]] == ([f"chosen: {', '.join(better)}", "chosen, long"] if better else [])
    assert (tmp_path / "t.md").read_text().strip() == capsys.readouterr().out.strip()


def test_too_few_epochs_are_refused(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--epochs", "2"])
    assert "--epochs must be at least 3, more than the warm-up. Received: 2" in capsys.readouterr().err
