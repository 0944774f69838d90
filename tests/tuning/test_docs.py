"""docs/tuning.md: its tests exist and are slow where it says so, its spaces and tuners are those of the package."""

import re

from documented import check_tests_exist, page

from tuning import plan, spaces

TEXT = page("tuning.md")


def test_the_tests_that_are_named_exist():
    assert check_tests_exist(TEXT) >= 10


def test_all_spaces_and_tuners_are_described():
    assert re.findall(r"^\| `(\w+)` \|", TEXT.partition("## Tuners")[0], re.MULTILINE) == list(spaces.PARTS)
    tuners = TEXT.partition("## Tuners")[2].partition("##")[0]
    assert re.findall(r"^\| `(\w+)` \|", tuners, re.MULTILINE) == list(plan.TUNERS)


def test_the_example_of_a_space_is_one():
    import keras_tuner

    from zoo import runs

    scope = {}
    exec(re.search(r"```python\n(def mine.*?)```", TEXT, re.DOTALL)[1], scope)
    settings = runs.Settings(**scope["mine"](keras_tuner.HyperParameters()))
    assert settings == runs.Settings(model="resnet20", knobs={"drop_path": 0.0})
