"""report.html: complete, self-contained, small, and alive in a browser."""

import base64
import html.parser
import io
import re

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from dem_jax.runtime.report import figures, page

RNG = np.random.default_rng(0)
VOID = {"meta", "link", "img", "input", "br"}


def make_content(shape=(120, 160, 3), grid=(2, 3), **changes):
    sharp = RNG.random(shape).astype(np.float32)
    before = ndimage.gaussian_filter(sharp, (2, 2, 0))
    history = [
        {
            "iteration": i,
            "negative_log_likelihood": 2 - i,
            "noise_std": 0.01,
            "kernel_change": 0.1,
        }
        for i in (1, 2, 3)
    ]
    record = {
        "input": "/photos/<b>holiday & sea</b>.jpg",
        "config": {"kernel_size": 31, "patch_grid": grid, "sampler": "psgld"},
        "seed": 7,
        "timings_seconds": {"em": 12.34},
        "warnings": ["Little blur was found <here>."],
    }
    kernels = RNG.random((grid[0] * grid[1], 9, 9)).astype(np.float32)
    content = page.Content(before, sharp, kernels, 0.1 * sharp, grid, history, record, "a caption")
    return content._replace(**changes)


class Outline(html.parser.HTMLParser):
    """Elements of a page; fails where one is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def text():
    return page.html_page(make_content())


def picture(uri):
    data = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_page_is_well_formed_and_speaks(text):
    outline = Outline(text)
    assert all(image["alt"] for image in outline.all("img"))
    assert all(chart["aria-label"] for chart in outline.all("svg"))
    assert len(outline.all("svg")) == 3
    assert outline.all("html") == [{"lang": "en"}]
    said = " ".join(outline.words)
    for words in ("<b>holiday & sea</b>.jpg", "Little blur was found <here>.", "12.3 s", "2 x 3"):
        assert words in said
    headings = [tag for tag, _ in outline.elements if re.fullmatch(r"h\d", tag)]
    assert headings == ["h1", *["h2"] * 6]


def test_page_needs_nothing_but_itself(text):
    outside = re.findall(
        r"(?:https?:)?//[^\s\"'<]+|@import|url\(", re.sub(r"data:[^\"]+", "", text)
    )
    assert outside == []
    sources = [attributes["src"] for attributes in Outline(text).all("img")]
    assert len(sources) == 2 + 8 + 1 + 1
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert "default-src 'none'" in text


def test_pictures_are_those_of_the_photo(text):
    content = make_content()
    images = [picture(a["src"]) for a in Outline(text).all("img")]
    assert images[0].shape == images[1].shape == (120, 160, 3)
    assert np.abs(np.diff(images[1].astype(float), axis=1)).mean() > 2 * (
        np.abs(np.diff(images[0].astype(float), axis=1)).mean()
    )
    assert images[0].mean() == pytest.approx(255 * content.before.mean(), rel=0.02)


@pytest.mark.slow
def test_a_page_of_12_megapixels_stays_small():
    smooth = ndimage.zoom(RNG.random((40, 30, 3)).astype(np.float32), (100, 100, 1), order=1)
    photo = np.clip(smooth + RNG.normal(0, 0.01, smooth.shape), 0, 1).astype(np.float32)
    text = page.html_page(make_content(before=photo, after=photo, std=0.1 * photo))
    assert len(text) < 4e6
    assert picture(Outline(text).all("img")[0]["src"]).shape == (1600, 1200, 3)
    assert "Scaled down" in text


@pytest.mark.parametrize("channels", [1, 3])
def test_page_without_iterations(channels):
    content = make_content((40, 48, channels), (1, 1), history=[])
    outline = Outline(page.html_page(content))
    said = " ".join(outline.words)
    assert "No EM iteration was finished" in said


def test_gains_are_found_where_the_contrast_grew():
    before = np.full((200, 300, 1), 0.5, np.float32)
    after = before.copy()
    after[20:60, 210:250] += 0.3 * RNG.choice([-1, 1], (40, 40, 1))
    after[120:160, 30:70] += 0.2 * RNG.choice([-1, 1], (40, 40, 1))
    places = figures.gains(before, after, count=2, side=40)
    for place, (top, left) in zip(places, [(20, 210), (120, 30)], strict=True):
        assert abs(place[0].start - top) <= 2
        assert abs(place[1].start - left) <= 2
    assert figures.gains(before, before) == []
    for place in figures.gains(before[20:50, 210:230], after[20:50, 210:230]):
        assert before[20:50, 210:230][place].shape == (20, 20, 1)


def test_kernels_lie_over_their_patches():
    photo = np.ones((300, 400, 3), np.float32)
    kernels = np.zeros((6, 5, 5), np.float32)
    kernels[:, 2, 2] = 1
    drawn, zoom = figures.kernels_over_photo(photo, kernels, (2, 3))
    assert drawn.shape == (300, 400, 3)
    assert zoom > 3
    labels, count = ndimage.label(drawn[..., 0] == 255)
    assert count == 6
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, range(1, 7)))
    from dem_jax.model import blur

    expected = blur.patch_centres((304, 404), (2, 3)) - 2
    np.testing.assert_allclose(centres, expected, atol=2)


@pytest.mark.filterwarnings("ignore")  # of playwright's event loop
def test_slider_moves_in_a_browser(browser, tmp_path):
    black, white = np.zeros((300, 400, 3), np.float32), np.ones((300, 400, 3), np.float32)
    path = tmp_path / "report.html"
    path.write_text(page.html_page(make_content(before=black, after=white, std=0.1 * white)))
    view = browser.new_page(viewport={"width": 1000, "height": 800})
    trouble, asked = [], []
    view.on("console", lambda message: trouble.append(message.text))
    view.on("pageerror", lambda error: trouble.append(str(error)))
    view.on("request", lambda request: asked.append(request.url.partition(":")[0]))
    view.goto(path.as_uri())

    def white_share():
        shot = view.locator("#slider").screenshot()
        with Image.open(io.BytesIO(shot)) as image:
            shown = np.asarray(image.convert("L"), float)
        assert np.abs(np.subtract(shown.shape, (540, 720))).max() <= 1  # it may begin mid-pixel
        return (shown[: shown.shape[0] // 2] > 128).mean()  # above the words Before and After

    assert white_share() == pytest.approx(0.5, abs=0.02)
    box = view.locator("#slider").bounding_box()
    view.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + 50)
    assert white_share() == pytest.approx(0.8, abs=0.02)
    view.keyboard.press("End")
    assert white_share() == pytest.approx(0.0, abs=0.02)
    view.keyboard.press("Home")
    assert white_share() == pytest.approx(1.0, abs=0.02)
    view.set_viewport_size({"width": 360, "height": 640})  # a telephone: nothing hangs out
    assert view.evaluate("document.documentElement.scrollWidth") <= 360
    assert trouble == []
    assert set(asked) <= {"file", "data"}
