"""Writes docs/results.md, and the table of README.md, from the rows in benchmarks/results/.

    python benchmarks/figures/results_page.py [--check]

With --check nothing is written; the exit status is 1 where a document differs from its rows.
Every table names the commit of its rows and says what the numbers do not show. Files kernels_*.json
(of the start's kernel alone, with peers' kernels scored alike) share a table.
"""

import argparse
import json
import pathlib
import sys
from typing import NamedTuple

import numpy as np

from dem_jax.evaluation import published, tables

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- made by benchmarks/figures/results_page.py -->", "<!-- end -->"
NAMES = {
    "blurred": "blurred",
    "start": "start",
    "result": "**result**",
    "true": "true kernel",
    "ssim": "SSIM",
    "kernel": "kernel correlation",
    "seconds": "seconds",
}
FAILED_CORRELATION, FAILED_LOSS = 0.7, 6.0  # as benchmarks/quality/kernels.py has them; dB
KERNEL_SETS = {
    "lai": "Lai's uniform photos, full size, colour",
    "made": "Lai's other pairs of picture and kernel, made anew",
    "levin": "Levin's photos",
    "sharp": "pictures sharp to the pixel",
}
TURNING_SETS = {"koehler": "Koehler", "lai": "Lai", "gopro": "GoPro"}
INTRO = """# Results

`python benchmarks/figures/results_page.py` makes this page from `benchmarks/results/`, which has a
row for every photo. PSNR is in dB, on brightness, at the best shift. "Start" is the deconvolution
with the start's kernel. "Result" is the picture after EM. "True kernel" is what the true kernel
gives in place of the found one. Seconds are those of one photo on two cores of an AMD EPYC; other
work ran beside some runs. No run was told the kernel's size. Each table names the commit of its
rows: later code may give other numbers.
"""


class Section(NamedTuple):
    """A data set: table, commits of its rows, what the numbers do not show, line of the README."""

    title: str
    table: str
    commits: list[str]
    limits: str
    headlines: list[
        list[str | float | None]
    ]  # name, dB: blurred, ours, peer, true; seconds, commits


def read(name):
    """{photo: row} of a file of results."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def mean(rows, key):
    """Over the rows; None where no row has it."""
    values = [row[key] for row in rows if key in row]
    return float(np.mean(values)) if values else None


def commits(rows):
    return sorted({row.get("commit", "not recorded") for row in rows})


def whole(value):
    return None if value is None else f"{value:.0f}"


def summary(rows):
    """A table of means, and the photo with the lowest result."""
    keys = [key for key in NAMES if any(key in row for row in rows.values())]
    name = min(rows, key=lambda name: rows[name]["result"])
    lines = [
        ["mean", *(mean(rows.values(), key) for key in keys)],
        [f"min: {name}", *(rows[name].get(key) for key in keys)],
    ]
    for line in lines:
        line[1 + keys.index("seconds")] = whole(line[1 + keys.index("seconds")])
    return tables.markdown(["", *(NAMES[key] for key in keys)], lines)


def plain(name, title, limits, *, rows=None, peers=None):
    """The section of a file with one row a photo."""
    rows = rows or read(name)
    means = {key: mean(rows.values(), key) for key in NAMES}
    headline = [
        title,
        means["blurred"],
        means["result"],
        peers,
        means["true"],
        whole(means["seconds"]),
        ", ".join(commits(rows.values())),
    ]
    return Section(title, summary(rows), commits(rows.values()), limits, [headline])


def levin():
    rows, ceiling = read("levin"), read("ceiling")
    for name, row in rows.items():
        row["true"] = ceiling[f"ceiling/{name}/0"]["result"]
    best = sorted(published.LEVIN.rows[1:], key=lambda row: -row[1])[:3]
    names = ", ".join(f"{row[1]:.2f} {row[0]}" for row in best)
    limits = (
        "16 of the 32 photos, quickstart's settings, the kernel's size found. The seconds were "
        "measured beside other work. "
        f"Published for all 32, by another scorer: {names}."
    )
    peer = f"{best[0][1]:.2f} ({best[0][0]}, published, all 32)"
    return plain("levin", "Levin, 16 photos", limits, rows=rows, peers=peer)


def turning():
    """The section of the files turning_SET.json, all by the best rotation and shift."""
    lines, all_rows, headlines, categories = [], [], [], ""
    for path in sorted(RESULTS.glob("turning_*.json")):
        rows = json.loads(path.read_text())
        label = TURNING_SETS.get(path.stem.removeprefix("turning_"), path.stem)
        gains = [row["ours, rigid"] - row["blurred, rigid"] for row in rows.values()]
        means = [mean(rows.values(), f"{name}, rigid") for name in ("blurred", "ours", "PMP")]
        seconds = whole(mean(rows.values(), "seconds"))
        turned = f"{sum(bool(row['turned']) for row in rows.values())} of {len(rows)}"
        memory = max(row["memory"] for row in rows.values())
        lines.append([label, *means, f"{min(gains):.2f}", turned, seconds, whole(memory)])
        peer = None if means[2] is None else f"{means[2]:.2f} (PMP)"
        name = f"Turning cameras: {label}, full size, rotation aligned"
        made = ", ".join(commits(rows.values()))
        headlines.append([name, means[0], means[1], peer, None, seconds, made])
        all_rows += rows.values()
        if label == "Lai":
            categories = by_category(rows)
    header = "set,blurred,**ours**,PMP,least gain,taken to turn,seconds,MB".split(",")
    paper = published.LAI_NONUNIFORM.rows[-1][-1]
    limits = (
        "PSNR by the best rotation and shift. GoPro's photos are means of a video's frames. Three "
        "of Lai's are official, the others made anew; published for the whole set: "
        f"{paper} dB (the method's paper). Koehler's truth is a JPEG of one frame, so PMP's own "
        "pictures are scored instead of published numbers. One busy core, compiling included."
    )
    table = f"{tables.markdown(header, lines)}\n\n{categories}"
    return Section("Turning cameras, full size", table, commits(all_rows), limits, headlines)


def by_category(rows):
    """Lai's categories, beside the paper's means of all photos of each.

    The sharp pictures of "saturated" were brightened before the set was made: not comparable.
    """
    lines = []
    paper = published.LAI_NONUNIFORM
    for category, theirs in zip(paper.columns[:-1], paper.rows[-1][1:-1], strict=True):
        own = [row for name, row in rows.items() if name.startswith(category)]
        means = [mean(own, f"{what}, rigid") for what in ("blurred", "ours")]
        lines.append([category, len(own), *means, None if category == "saturated" else theirs])
    return tables.markdown(["Lai", "photos", "blurred", "**ours**", "the paper, 20 photos"], lines)


def calibration():
    rows = read("calibration")
    keys = {
        "blurred": "blurred",
        "start": "start",
        "result": "**result**",
        "mean": "posterior mean",
        "best_sample": "best sample",
        "one": "% within 1 std",
        "two": "% within 2 std",
    }
    lines = []
    for noise in ("0.003", "0.01", "0.03", "0.05"):
        own = [row for name, row in rows.items() if f"noise {noise}," in name]
        lines.append([f"noise {noise}", *(mean(own, key) for key in keys)])
    limits = (
        "A Gaussian has 68 and 95 %. The formula's factors were chosen on these, Levin's and Lai's "
        "turning photos."
    )
    table = tables.markdown(["mean of 3", *keys.values()], lines)
    return Section("Uncertainty, 12 simulated photos", table, commits(rows.values()), limits, [])


def failed(row):
    return row["correlation"] < FAILED_CORRELATION or row["true"] - row["ours"] > FAILED_LOSS


def kernels_of(path):
    """The lines of a file kernels_SET.json in the table of kernels, and the README's line.

    One deconvolution serves ours, peers' and true kernels.
    """
    rows = json.loads(path.read_text())
    label = path.stem.removeprefix("kernels_")
    label = KERNEL_SETS.get(label, label)
    keys = ("correlation", "blurred", "ours", "true", "seconds", "memory")
    own = [mean(rows.values(), key) for key in keys]
    failures = str(sum(failed(row) for row in rows.values()))
    lines = [[label, len(rows), failures, *own[:4], whole(own[4]), whole(own[5])]]
    names = {key.removesuffix(", correlation") for row in rows.values() for key in row}
    names = sorted(n for n in names if any(f"{n}, correlation" in row for row in rows.values()))
    for name in names:
        scored = [row for row in rows.values() if name in row]
        keys = (f"{name}, correlation", "blurred", name, "true")
        theirs = f"{name} (ours there: {mean(scored, 'ours'):.2f})"
        lines.append([theirs, len(scored), None, *(mean(scored, key) for key in keys), None, None])
    best = max(names, key=lambda n: mean(rows.values(), n), default=None)
    there = [row for row in rows.values() if best in row]
    same = f"{best}, {len(there)} photos, ours there {mean(there, 'ours'):.2f}" if best else ""
    name = best if len(there) == len(rows) else same
    peer = f"{mean(rows.values(), best):.2f} ({name})" if best else None
    made = ", ".join(commits(rows.values()))
    return lines, [f"Kernels: {label}", own[1], own[2], peer, own[3], whole(own[4]), made]


def kernels():
    """The section of the files kernels_SET.json."""
    paths = sorted(RESULTS.glob("kernels_*.json"))
    found = [kernels_of(path) for path in paths]
    rows = [row for path in paths for row in json.loads(path.read_text()).values()]
    header = "kernels,photos,failures,correlation,blurred,PSNR,true kernel,seconds,MB".split(",")
    table = tables.markdown(header, [line for lines, _ in found for line in lines])
    limits = (
        "The start's kernel alone, without EM. A failure is a correlation below "
        f"{FAILED_CORRELATION}, or {FAILED_LOSS:.0f} dB below the true kernel."
    )
    return Section("Kernels", table, commits(rows), limits, [line for _, line in found])


def sections():
    """All of the page, in its order."""
    return [
        kernels(),
        levin(),
        plain(
            "sharp_photos",
            "Sharp to the pixel, 11 simulated photos",
            "Lai's pictures at 256 pixels, blurred by Levin's kernels, noise 0.003. EM adds "
            "little here.",
        ),
        plain(
            "sharp_jpeg",
            "The same 11 as JPEG of quality 85",
            "EM is not run on JPEGs at normal effort, so that the start is the result.",
        ),
        turning(),
        calibration(),
    ]


def page():
    """docs/results.md."""
    parts = [INTRO]
    for section in sections():
        label = "Commit" if len(section.commits) == 1 else "Commits"
        parts += [f"## {section.title}\n", f"{section.table}\n"]
        parts.append(f"{label} {', '.join(section.commits)}. {section.limits}\n")
    return "\n".join(parts)


def headline():
    """The table of README.md."""
    header = "PSNR in dB, mean|blurred|**ours**|best peer|true kernel|seconds|commit".split("|")
    lines = [line for section in sections() for line in section.headlines]
    return tables.markdown(header, lines)


def readme(text):
    """README.md with its table made anew."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{headline()}\n{END}{after}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    front = ROOT / "README.md"
    made = {ROOT / "docs" / "results.md": page(), front: readme(front.read_text())}
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'stale' if check else 'written'}")
        if not check:
            path.write_text(made[path])
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
