"""The search by lot: the same lots each time, nothing tried twice, another search refused."""

import json

import pytest

pytest.importorskip("keras_tuner", reason="it comes with the extra `tune`")

from tuning import by_lot


def space(hp):
    return {"units": hp.Choice("units", [16, 32, 64], default=32), "rate": hp.Float("rate", 0.1, 1.0, default=0.5)}


def test_lots_depend_on_seed_and_number_alone():
    assert by_lot.draw(space, 0) == {"units": 32, "rate": 0.5}
    drawn = [by_lot.draw(space, number, seed=3) for number in range(1, 20)]
    assert drawn == [by_lot.draw(space, number, seed=3) for number in range(1, 20)]
    assert drawn != [by_lot.draw(space, number, seed=4) for number in range(1, 20)]
    assert {values["units"] for values in drawn} == {16, 32, 64}


def test_a_search_that_was_interrupted_goes_on_and_may_be_extended(tmp_path):
    tried = []

    def score(values, folder):
        tried.append(folder.name)
        if len(tried) == 3:
            raise KeyboardInterrupt
        return -abs(values["rate"] - 0.3)

    with pytest.raises(KeyboardInterrupt):
        by_lot.search(space, score, tmp_path, base={}, trials=4)
    found = by_lot.search(space, score, tmp_path, base={}, trials=4)
    assert tried == ["trial_0000", "trial_0001", "trial_0002", "trial_0002", "trial_0003"]
    assert [value for value, _ in found] == sorted((-abs(values["rate"] - 0.3) for _, values in found), reverse=True)
    assert json.loads((tmp_path / "best.json").read_text()) == {"score": found[0][0], **found[0][1]}
    assert by_lot.search(space, score, tmp_path, base={}, trials=5)[0][0] >= found[0][0]
    assert tried[-1] == "trial_0004"
    with pytest.raises(ValueError, match="holds another search: trial_0001 was .*Give another folder"):
        by_lot.search(space, score, tmp_path, base={}, trials=2, seed=7)
    with pytest.raises(ValueError, match="trials must be at least 1. Received: trials=0"):
        by_lot.search(space, score, tmp_path, base={}, trials=0)


def test_a_folder_holds_trials_of_one_base(tmp_path):
    base = {"data": "shapes", "epochs": 8, "levels": ("stride4", "stride2")}
    found = by_lot.search(space, lambda values, folder: values["rate"], tmp_path, base=base, trials=3)
    again = by_lot.search(space, lambda values, folder: pytest.fail("it is known"), tmp_path, base=base, trials=3)
    assert again == found

    def search(**changes):
        by_lot.search(space, lambda values, folder: 1.0, tmp_path, base={**base, **changes}, trials=4)

    message = r"holds another search: base.json has \{'epochs': 8\}. Received: \{'epochs': 9\}. Give another folder"
    with pytest.raises(ValueError, match=message):
        search(epochs=9)
    with pytest.raises(ValueError, match=r"base.json has \{'body': None\}. Received: \{'body': 'resnet20'\}"):
        search(body="resnet20")
    assert not (tmp_path / "trial_0003.json").exists()
    (tmp_path / by_lot.BASE).unlink()
    with pytest.raises(ValueError, match="holds trials without a base.json, which would say what of. Give another"):
        search()


def test_what_fails_before_its_first_score_may_be_put_right(tmp_path):
    def refused(values, folder):
        raise ValueError("size must be a multiple of 4")

    with pytest.raises(ValueError, match="multiple of 4"):
        by_lot.search(space, refused, tmp_path, base={"size": 18}, trials=1)
    assert by_lot.search(space, lambda values, folder: 1.0, tmp_path, base={"size": 16}, trials=1)[0][0] == 1.0
