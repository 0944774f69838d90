"""What docs/weights.md says is true."""

import re
from pathlib import Path

from zoo.weights.commands import markdown_table
from zoo.weights.published import published

TEXT = (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")


def test_the_table_is_what_the_command_prints():
    table = re.search(r"<!-- weights -->\n(.*?)\n<!-- /weights -->", TEXT, re.DOTALL)[1]
    assert table == markdown_table(published()), "replace it by what `zoo weights list --markdown` prints"


def test_the_examples_run(warm, capsys, caplog):
    """One after the other, with weights of random values in the cache."""
    names = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, names)
    assert re.match(r"n\d{8} ", capsys.readouterr().out)
    assert names["model"].output_shape == (None, 10)
    assert names["model"].input_shape == (None, 64, 64, 1)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "new, to be trained: logits", "adapted: stem_conv"
    ]  # fmt: skip
