"""Pictures that a person looks at: kernels, uncertainty, and everything on one page.

Drawn with Pillow alone. Every function returns a picture as uint8, [h, w] grey or [h, w, 3] RGB.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dem_jax.runtime.report.lettering import lettering

_MARGIN = 20
_COLUMN = 560  # width of each of the page's two columns, pixels
_LINE, _LEADING = 150, 20  # characters in a line of text, and pixels between lines
_INK, _PALE, _PAPER = (30, 30, 30), (150, 150, 150), (255, 255, 255)
# From dark to light in even steps, so that it also reads in grey print and for colour-blind people.
_SCALE = np.array(
    [(10, 15, 60), (45, 60, 110), (95, 95, 115), (140, 130, 115), (195, 170, 95), (255, 230, 70)]
)


def kernels_picture(kernels: np.ndarray, grid: tuple[int, int], *, cell: int = 96) -> np.ndarray:
    """Kernels [P, k, k] laid out as the patches lie on the photo, each scaled to its own maximum.

    Args:
      kernels: non-negative.
      grid: rows and columns, rows x columns = P.
      cell: least width of one kernel in pixels; a pixel of the kernel becomes a square.
    """
    rows, cols = grid
    size = kernels.shape[-1]
    zoom = max(1, -(-cell // size))
    peaks = np.maximum(kernels.max(axis=(1, 2), keepdims=True), 1e-12)
    tiles = np.rint(255 * kernels / peaks).astype(np.uint8)
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    tiles = np.pad(tiles, ((0, 0), (1, 1), (1, 1)), constant_values=96)
    side = tiles.shape[-1]
    picture = tiles.reshape(rows, cols, side, side).transpose(0, 2, 1, 3)
    return picture.reshape(rows * side, cols * side)


def uncertainty_picture(std: np.ndarray) -> np.ndarray:
    """Standard deviation [H, W, C], averaged over channels, in colour beside its scale."""
    mean = std.mean(axis=-1)
    top = max(float(np.quantile(mean, 0.995)), 1e-6)
    height = max(mean.shape[0], 80)
    unit = max(10, height // 40)  # the scale grows with the picture
    colours = np.full((height, mean.shape[1] + 10 * unit, 3), 255, np.uint8)
    colours[: mean.shape[0], : mean.shape[1]] = _colour(mean / top)
    left, right = mean.shape[1] + unit, mean.shape[1] + 3 * unit
    colours[unit : height - unit, left:right] = _colour(np.linspace(1, 0, height - 2 * unit))[
        :, None
    ]
    image = Image.fromarray(colours)
    draw = ImageDraw.Draw(image)
    for y, value, anchor in ((unit, top, "la"), (height - unit, 0.0, "ld")):
        place = (right + unit // 2, y)
        draw.text(place, f"{value:.4f}", fill=_INK, font=_font(1.3 * unit), anchor=anchor)
    return np.asarray(image)


def report_page(
    before: np.ndarray,
    after: np.ndarray,
    kernels: np.ndarray,
    std: np.ndarray,
    *,
    grid: tuple[int, int],
    history: Sequence[Mapping[str, float]],
    caption: str,
    warnings: Sequence[str] = (),
) -> np.ndarray:
    """Before, after, kernels, uncertainty and, after EM, its convergence on one page.

    Args:
      before: [H, W, C] the blurred photo, in [0, 1].
      after: [H, W, C] the sharp one.
      kernels: [P, k, k].
      std: [H, W, C].
      grid: rows and columns of patches.
      history: one entry per EM iteration with "iteration" and "negative_log_likelihood".
      caption: one line under the title.
      warnings: sentences under it.
    """
    likelihoods = [(entry["iteration"], entry["negative_log_likelihood"]) for entry in history]
    points = [(number, value) for number, value in likelihoods if np.isfinite(value)]
    panels = [
        ("Before", grey_or_rgb(before)),
        ("After", grey_or_rgb(after)),
        (f"Blur kernels ({grid[0]} x {grid[1]} patches)", kernels_picture(kernels, grid)),
        ("Uncertainty: standard deviation per pixel, white = 1", uncertainty_picture(std)),
    ]
    if points:
        title = "Convergence: negative log-likelihood per value (nats)"
        panels.append((title, _curve(points)))
    drawn = [_panel(title, picture) for title, picture in panels]
    rows = [drawn[i : i + 2] for i in range(0, len(drawn), 2)]
    notes = [line for text in warnings for line in textwrap.wrap(f"Note: {text}", _LINE)]
    top = 80 + _LEADING * len(notes)
    height = top + sum(max(p.height for p in row) + _MARGIN for row in rows)
    page = Image.new("RGB", (2 * _COLUMN + 3 * _MARGIN, height), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, 15), "dem_jax", fill=_INK, font=_font(24))
    for number, line in enumerate([caption, *notes]):
        font, line = lettering(line, 14)
        draw.text((_MARGIN, 48 + _LEADING * number), line, fill=_INK, font=font)
    for row in rows:
        for column, panel in enumerate(row):
            page.paste(panel, (_MARGIN + column * (_COLUMN + _MARGIN), top))
        top += max(p.height for p in row) + _MARGIN
    return np.asarray(page)


def _panel(title: str, picture: np.ndarray) -> Image.Image:
    """`picture` fitted to a column's width under its title."""
    image = Image.fromarray(picture).convert("RGB")
    scale = min(_COLUMN / image.width, 1.5 * _COLUMN / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    body = image.resize(size, Image.Resampling.LANCZOS)
    panel = Image.new("RGB", (_COLUMN, body.height + 24), _PAPER)
    ImageDraw.Draw(panel).text((0, 2), title, fill=_INK, font=_font(14))
    panel.paste(body, (0, 24))
    return panel


def _curve(points: Sequence[tuple[float, float]]) -> np.ndarray:
    """Line through the points (x, y), with the ends of both axes labelled."""
    width, height, left, bottom = _COLUMN, 240, 70, 215
    image = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.line([(left, 10), (left, bottom), (width - 10, bottom)], fill=_PALE)
    xs, ys = (np.array(values, float) for values in zip(*points, strict=True))
    across = left + 10 + (xs - xs.min()) / max(np.ptp(xs), 1) * (width - left - 40)
    down = 20 + (ys.max() - ys) / max(np.ptp(ys), 1e-9) * (bottom - 40)
    line = list(zip(across.tolist(), down.tolist(), strict=True))
    draw.line(line, fill=(20, 60, 140), width=2)
    for a, b in line:
        draw.ellipse((a - 3, b - 3, a + 3, b + 3), fill=(20, 60, 140))
    for value, place in ((ys.max(), 14), (ys.min(), bottom - 26)):
        draw.text((4, place), f"{value:.4g}", fill=_INK, font=_font(12))
    for value, where in {xs.min(): across.min(), xs.max(): across.max()}.items():
        draw.text((where - 4, bottom + 6), f"{value:.0f}", fill=_INK, font=_font(12))
    draw.text((width // 2 - 30, bottom + 6), "EM iteration", fill=_PALE, font=_font(12))
    return np.asarray(image)


def _colour(values: np.ndarray) -> np.ndarray:
    """Colours [..., 3] uint8 of values in [0, 1]."""
    places = np.linspace(0, 1, len(_SCALE))
    channels = [np.interp(values, places, _SCALE[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def grey_or_rgb(pixels: np.ndarray) -> np.ndarray:
    """A photo [H, W, C] in [0, 1] as uint8, [H, W] or [H, W, 3]."""
    samples = np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
    return samples[..., 0] if samples.shape[-1] == 1 else samples


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
