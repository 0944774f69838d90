"""The page of an application's run holds what it is given, as text, and needs nothing else."""

import json

from zoo.report.summary import Sheet, Table, write_summary

TINY = b"\x89PNG"
SCORES = Table("Scores", ("", "mean IoU"), [("<b>network</b>", "0.88")], "Higher is better.")


def test_sheets_tables_and_facts_are_there_as_text(tmp_path):
    sheet = Sheet("Test pictures", TINY, "Pictures & masks", "<i>of the test split</i>")
    path = write_summary(
        tmp_path, "finds digits", sheets=[sheet], tables=[SCORES], facts={"epochs": 4, "levels": (1, 2)}
    )
    page = path.read_text(encoding="utf-8")
    assert path == tmp_path / "report.html"
    assert "<td>0.88</td>" in page
    for text in ("&lt;b&gt;network&lt;/b&gt;", "&lt;i&gt;of the test split&lt;/i&gt;", "Pictures &amp; masks"):
        assert text in page
    assert "<b>" not in page
    assert 'src="data:image/png;base64,iVBORw=="' in page
    assert 'src="http' not in page
    assert "Curves over the epochs" not in page


def test_curves_are_drawn_of_the_metrics(tmp_path):
    rows = [{"epoch": epoch, "loss": 1 / epoch, "val_loss": 2 / epoch} for epoch in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = write_summary(tmp_path, "finds digits", sheets=(), tables=(SCORES,), facts={}).read_text(encoding="utf-8")
    assert page.count('alt="Curves over the epochs"') == 1
    assert page.count("data:image/png;base64,") == 2
