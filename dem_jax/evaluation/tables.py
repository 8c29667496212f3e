"""Scores as Markdown: every photo, every group, the average, and the published rows beside ours."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dem_jax.evaluation import protocols, published

HEADINGS = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "mssim": "MSSIM",
    "shift": "shift",
    "frame": "best frame",
    "frames": "frames",
    "error_ratio": "error ratio (squared)",
    "error_ratio_spectral": "error ratio (spectral)",
    "psnr_rigid": "PSNR, rigid",
    "ssim_rigid": "SSIM, rigid",
    "psnr_homography": "PSNR, homography",
    "ssim_homography": "SSIM, homography",
}


def markdown(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; decibels and ratios get the digits that papers print, None a dash."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)]
    lines += [[_cell(value) for value in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def summarize(
    scores: Mapping[str, protocols.Scores], groups: Mapping[str, str]
) -> dict[str, protocols.Scores]:
    """Averages by group, and over all photos under "average".

    Args:
      scores: by photo.
      groups: the group of each photo.
    """
    names = sorted({groups[photo] for photo in scores})
    averages = {
        name: protocols.average([s for photo, s in scores.items() if groups[photo] == name])
        for name in names
    }
    return averages | {"average": protocols.average(list(scores.values()))}


def scores_table(
    scores: Mapping[str, protocols.Scores], averages: Mapping[str, protocols.Scores]
) -> str:
    """One row a photo, then one a group, then the average."""
    used = [key for key in HEADINGS if any(key in s for s in scores.values())]
    rows = [[name, *(s.get(key) for key in used)] for name, s in scores.items()]
    rows += [[f"**{name}**", *(s.get(key) for key in used)] for name, s in averages.items()]
    return markdown(["photo", *(HEADINGS[key] for key in used)], rows)


def published_table(
    table: published.Table, averages: Mapping[str, protocols.Scores], count: int
) -> str:
    """The published rows with ours, from `count` photos, as the last one."""
    overall = averages["average"]
    psnr = "psnr_rigid" if "psnr_rigid" in overall else "psnr"

    def ours(column: str) -> float | None:
        if column in averages:
            return averages[column].get(psnr)
        keys = {HEADINGS[key]: key for key in ("ssim", "mssim", "error_ratio_spectral")}
        return overall.get(keys.get(column, psnr) if column in (*keys, "PSNR") else "")

    rows = [*table.rows, (f"**ours, {count} photos**", *(ours(c) for c in table.columns))]
    text = markdown(["method", *table.columns], rows)
    return f"{table.title} ({table.source})\n\n{text}"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) >= 5 else f"{value:.3f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(f"{v:+g}" for v in value)
    return str(value)
