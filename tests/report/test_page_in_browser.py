"""The page in a real browser: every figure drawn, no error, no sideways scroll on a phone."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from zoo.report import Evaluation, write_report

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--enable-logging=stderr", "--v=0", "--window-size=1300,900",
)  # fmt: skip

# The page, unchanged, in a frame as wide as the screen in question (a window is never narrower than 500 pixels), and a
# script around it that looks in when all is loaded.
PROBE = """<!DOCTYPE html>
<meta name="color-scheme" content="light dark">
<title></title>
<iframe srcdoc="{page}" style="width: {width}px; height: 900px; border: 0"></iframe>
<script>
addEventListener("load", () => {{
  const screen = document.querySelector("iframe").contentWindow, page = screen.document;
  const images = [...page.images];
  document.title = JSON.stringify({{
    images: images.length,
    broken: images.filter((image) => !image.complete || !image.naturalWidth).length,
    hidden: images.filter((image) => image.getBoundingClientRect().width < 20).length,
    dark_images: images.filter((image) => image.currentSrc !== image.src).length,
    width: screen.innerWidth,
    wide: page.documentElement.scrollWidth - screen.innerWidth,
    background: screen.getComputedStyle(page.body).backgroundColor,
  }});
}});
</script>
"""


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"no browser to look at the page with: none of {', '.join(names)} is installed")
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    rng = np.random.default_rng(0)
    classes = ("<script>alert(1)</script>", "$x_1", "日本語", "a long class name " * 9, *map(str, range(20)))
    odds = np.exp(rng.normal(size=(200, len(classes))) * 3)
    return write_report(
        tmp_path_factory.mktemp("run"),
        config={"model": {"name": "resnet20"}, "data": {"name": "digits", "sha": "f0" * 99}, "command": ["x" * 300]},
        history=[{"epoch": epoch, "loss": 1 / epoch, "val_loss": 1 / epoch, "accuracy": 0.5} for epoch in (1, 2, 3)],
        result={"best": {"epoch": 3}, "stopped": {"rule": "Patience", "explanation": "no_spaces_" * 40}},
        card={"name": "resnet20", "results": [{"dataset": "CIFAR-10", "protocol": "one crop " * 30, "top1": 91.25}]},
        evaluation=Evaluation(
            split="test",
            classes=classes,
            labels=rng.integers(0, len(classes), 200),
            probabilities=(odds / odds.sum(axis=1, keepdims=True)).astype(np.float32),
            image=lambda index: rng.integers(0, 256, (8 + index, 8, 3)).astype(np.uint8),
            name=lambda index: f"folder/{index:090}.png",
        ),
        filters=rng.normal(size=(7, 7, 3, 64)),
    )


def look(browser, source, folder, width, *flags):
    """Open the page and return what the probe saw, and the lines of the console."""
    probe = folder / "probe.html"
    probe.write_text(PROBE.format(page=html.escape(source), width=width), encoding="utf-8")
    command = [browser, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", probe.as_uri()], capture_output=True, text=True, timeout=100, check=True
    )
    title = re.search("<title>(.*?)</title>", done.stdout)[1]
    return json.loads(html.unescape(title)), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_every_figure_is_drawn_and_the_console_is_silent(browser, page, tmp_path):
    facts, console = look(browser, page.read_text(), tmp_path, 1200)
    num_curves, num_mistakes = 2, 24
    # Besides those: confusion, reliability and filters.
    assert facts["images"] == num_curves + num_mistakes + 3
    assert (facts["broken"], facts["hidden"], console) == (0, 0, [])
    assert (facts["dark_images"], facts["background"]) == (0, "rgb(245, 246, 248)")


def test_the_dark_page_has_figures_of_its_own(browser, page, tmp_path):
    facts, console = look(browser, page.read_text(), tmp_path, 1200, "--blink-settings=preferredColorScheme=0")
    assert (facts["dark_images"], facts["background"]) == (5, "rgb(14, 19, 24)")
    assert (facts["broken"], facts["hidden"], console) == (0, 0, [])


def test_a_phone_needs_no_sideways_scroll(browser, page, tmp_path):
    facts, _ = look(browser, page.read_text(), tmp_path, 400)
    assert facts["width"] == 400
    assert facts["wide"] <= 0


def test_the_probe_sees_what_is_broken(browser, page, tmp_path):
    source = page.read_text().replace("data:image/png;base64,iVBOR", "data:image/png;base64,AAAA", 2)
    source = source.replace(
        "<main>", '<main><img src="https://example.org/x.png"><div style="width: 2000px">wide</div>'
    )
    facts, console = look(browser, source, tmp_path, 1200)
    assert facts["broken"] == 2
    assert facts["wide"] > 0
    assert any("Content Security Policy" in line for line in console)
