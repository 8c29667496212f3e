"""report.html: one file that a browser shows without a network, for people and screen readers.

The page itself is templates/report.html; here its blanks are filled. Previews are scaled down, so
that the page of a 12-megapixel photo stays a few megabytes.
"""

import html
import json
import string
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from dem_jax.runtime.report import figures, pictures

_CHARTS = (  # field of the history, title, unit
    ("negative_log_likelihood", "Misfit: negative log-likelihood", "nats per value"),
    ("noise_std", "Noise level", "1 = white"),
    ("kernel_change", "Change of the kernels", "0 none, 2 all"),
)
_SETTINGS = (
    *("kernel_size", "patch_grid", "kernels", "em_iterations", "num_chains", "samples_per_chain"),
    *("burn_in", "thinning", "sampler", "refinement", "grain"),
)
_MIN_WIDTH = 720  # of the compared pictures on a screen: small photos are enlarged
_WIDTH, _HEIGHT = 340, 200  # of a chart
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 14, 34  # its margins


class Content(NamedTuple):
    """What a report shows."""

    before: np.ndarray  # [H, W, C] the blurred photo, in [0, 1]
    after: np.ndarray  # [H, W, C] the sharp one
    kernels: np.ndarray  # [P, k, k]
    std: np.ndarray  # [H, W, C]
    grid: tuple[int, int]
    history: Sequence[Mapping[str, Any]]  # one entry per EM iteration
    record: Mapping[str, Any]  # run.json
    caption: str
    icc_profile: bytes | None = None


def html_page(content: Content) -> str:
    """The page as text."""
    template = string.Template(
        resources.files("dem_jax.runtime.report")
        .joinpath("templates/report.html")
        .read_text("utf-8")
    )
    photo, sharp = pictures.grey_or_rgb(content.before), pictures.grey_or_rgb(content.after)
    before, (width, height) = figures.data_uri(photo, icc=content.icc_profile)
    after, _ = figures.data_uri(sharp, icc=content.icc_profile)
    overlay, zoom = figures.kernels_over_photo(content.before, content.kernels, content.grid)
    rows, cols = content.grid
    regions = "one kernel for the whole photo" if rows * cols == 1 else f"{rows} x {cols} patches"
    scaled = max(photo.shape[:2]) > figures.PREVIEW
    record = content.record
    return template.substitute(
        title=html.escape(str(record.get("input", "photo")).rpartition("/")[2]),
        caption=html.escape(content.caption),
        verdict=_verdict(record.get("warnings", [])),
        before=before,
        after=after,
        width=width,
        height=height,
        shown=max(width, _MIN_WIDTH),
        scaled="Scaled down to fit; deblurred.png has every pixel." if scaled else "",
        crops=_crops(content, photo, sharp),
        kernels=figures.data_uri(overlay)[0],
        kernels_alt=f"Blur kernels over the dimmed photo, {regions}",
        kernels_caption=f"The path that each point of light took, {regions}, drawn {zoom:.1f} "
        "times larger than life and each to its own brightest pixel. A dot means no blur.",
        uncertainty=_uncertainty(content.std),
        convergence=_convergence(content.history),
        settings=_rows(_settings(record)),
        timings=_rows((k, f"{v:.1f} s") for k, v in record.get("timings_seconds", {}).items()),
        record=html.escape(json.dumps(record, indent=2)),
    )


def _verdict(warnings: Sequence[str]) -> str:
    if not warnings:
        return "<p>Nothing unusual was found.</p>"
    items = "".join(f"<li>{html.escape(text)}</li>" for text in warnings)
    return f"<p><strong>Please note</strong></p><ul>{items}</ul>"


def _crops(content: Content, photo: np.ndarray, sharp: np.ndarray) -> str:
    shown = []
    for number, place in enumerate(figures.gains(content.before, content.after), 1):
        left, top = place[1].start, place[0].start
        pair = "".join(
            f'<img src="{figures.data_uri(np.ascontiguousarray(picture[place]), exact=True)[0]}" '
            f'alt="Detail {number}, {name}">'
            for name, picture in (("before", photo), ("after", sharp))
        )
        where = f"<figcaption>From pixel {left}, {top} (right, down)</figcaption>"
        shown.append(f'<figure><div class="pair">{pair}</div>{where}</figure>')
    if not shown:
        return "<p>No place gained fine contrast.</p>"
    return (
        '<p class="soft">Enlarged, before on the left, after on the right: the places whose fine '
        f'contrast grew most.</p><div class="row">{"".join(shown)}</div>'
    )


def _uncertainty(std: np.ndarray) -> str:
    mean = std.mean(axis=-1)
    step = -(-max(mean.shape) // 1000)
    picture, _ = figures.data_uri(pictures.uncertainty_picture(std[::step, ::step]))
    return (
        f'<figure><img src="{picture}" alt="Map of the uncertainty, with its scale">'
        "<figcaption>Posterior standard deviation of every pixel, white being 1: bright places are "
        f"doubtful. Half of the pixels are below {np.median(mean):.4f}, one in a hundred is above "
        f"{np.quantile(mean, 0.99):.4f}.</figcaption></figure>"
    )


def _convergence(history: Sequence[Mapping[str, Any]]) -> str:
    """Charts and a table of the EM iterations, where there were any."""
    if not history:
        return "<p>No EM iteration was finished: the result is the start's deconvolution.</p>"
    return (
        f'<div class="row">{"".join(_chart(history, *chart) for chart in _CHARTS)}</div>'
        "<details><summary>The same as a table</summary>"
        f"<table>{_table_of(history)}</table></details>"
    )


def _chart(history: Sequence[Mapping[str, Any]], name: str, title: str, unit: str) -> str:
    """One quantity over the EM iterations as SVG."""
    points = [(e["iteration"], e[name]) for e in history if e.get(name) is not None]
    heading = f"<figcaption>{title} ({unit})</figcaption>"
    if not points:
        return f'<figure class="wide">{heading}<p>No number is known.</p></figure>'
    x, y = (np.array(values, float) for values in zip(*points, strict=True))
    across = _LEFT + (x - x[0]) / max(np.ptp(x), 1) * (_WIDTH - _LEFT - _RIGHT)
    down = _TOP + (y.max() - y) / max(np.ptp(y), 1e-12) * (_HEIGHT - _TOP - _BOTTOM)
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
    dots = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in zip(across, down, strict=True)
    )
    floor = _HEIGHT - _BOTTOM
    labels = "".join(
        f'<text x="{_LEFT - 6}" y="{place + 4:.0f}" text-anchor="end">{value:.4g}</text>'
        for value, place in {y.max(): _TOP, y.min(): max(down)}.items()
    )
    label = f"{title} from {y[0]:.4g} to {y[-1]:.4g} over {len(points)} EM iterations"
    return (
        f'<figure class="wide">{heading}<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{label}" font-size="12" fill="#1e1e1e">'
        f'<path d="M{_LEFT} {_TOP}V{floor}H{_WIDTH - _RIGHT}" fill="none" stroke="#888"/>'
        f'<polyline points="{line}" fill="none" stroke="#1e1e1e" stroke-width="2"/>{dots}{labels}'
        f'<text x="{_LEFT}" y="{floor + 16}">{x[0]:.0f}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{floor + 16}" text-anchor="end">{x[-1]:.0f}</text>'
        f'<text x="{(_LEFT + _WIDTH) / 2:.0f}" y="{floor + 30}" text-anchor="middle">EM iteration'
        "</text></svg></figure>"
    )


def _table_of(history: Sequence[Mapping[str, Any]]) -> str:
    names = list(history[0])
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
    rows = ("".join(f"<td>{_short(entry.get(name))}</td>" for name in names) for entry in history)
    return f"<tr>{head}</tr>" + "".join(f"<tr>{row}</tr>" for row in rows)


def _settings(record: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    config = record.get("config", {})
    for name in _SETTINGS:
        if name in config:
            yield name, config[name]
    for name in ("seed", "precision", "crop", "linear_light", "init_kernels"):
        if record.get(name) is not None:
            yield name, record[name]
    for name, value in {**record.get("device", {}), **record.get("versions", {})}.items():
        yield name, value


def _rows(pairs: Iterable[tuple[str, Any]]) -> str:
    return "".join(
        f'<tr><th scope="row">{html.escape(name.replace("_", " "))}</th>'
        f"<td>{_short(value)}</td></tr>"
        for name, value in pairs
    )


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, tuple | list):
        return html.escape((" x " if len(value) == 2 else ", ").join(map(str, value)))
    return html.escape("" if value is None else str(value))
