"""One picture of many photos: before, ours, a peer's, each kernel in its picture's corner.

    python benchmarks/figures/contact_sheet.py --photos=DIR --output=sheet.png \\
        [--peers=DIR] [--results=DIR] [--width=480] -- [--flagfile=quickstart]

The photos are deblurred by `python -m dem_jax.main` with the flags behind `--`, into RESULTS; what
is finished there is not done again. PEERS holds PHOTO_METHOD.png and PHOTO_METHOD_kernel.png: the
first method by name that has a picture is shown, or else its kernel alone.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image, ImageDraw

ENDINGS = (".jpg", ".jpeg", ".png", ".tif")
CORNER, GAP, LINE = 0.22, 6, 22  # of a picture's width; pixels


def deblur(photos, results, flags):
    command = [sys.executable, "-m", "dem_jax.main", *flags, f"--output_dir={results}"]
    subprocess.run([*command, *[f"--input={path}" for path in photos]], check=False)


def kernel_picture(kernel, side):
    grey = np.uint8(np.clip(255 * np.sqrt(kernel / max(kernel.max(), 1e-12)), 0, 255))
    return Image.fromarray(grey).resize((side, side), Image.Resampling.BILINEAR).convert("RGB")


def cell(picture, kernel, words, width, height):
    """A picture [width, height] with its kernel in the corner and words below."""
    sheet = Image.new("RGB", (width, height + LINE), "white")
    if picture is not None:
        sheet.paste(picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS))
    if kernel is not None:
        sheet.paste(kernel_picture(kernel, round(CORNER * width)), (0, 0))
    ImageDraw.Draw(sheet).text((2, height + 4), words, fill="black")
    return sheet


def ours(folder):
    """The result, its kernel and what run.json says of it; nothing where there is none."""
    if not (folder / "deblurred.png").exists():
        return None, None, "no result"
    record = json.loads((folder / "run.json").read_text())
    confidence = (record.get("evidence") or {}).get("kernel_confidence")
    words = f"{record.get('kernel', '')}, {record['config']['kernel_size']} px"
    words += "" if confidence is None else f", confidence {confidence:.2f}"
    return Image.open(folder / "deblurred.png"), np.load(folder / "kernels.npy").mean(0), words


def peer(folder, name):
    """A peer's picture, kernel and name; nothing where there is none."""
    found = sorted(folder.glob(f"{name}_*.png")) if folder else []
    pictures = [path for path in found if not path.stem.endswith("_kernel")]
    method = (pictures or found or [None])[0]
    if method is None:
        return None, None, ""
    stem = method.stem.removesuffix("_kernel")
    kernel = folder / f"{stem}_kernel.png"
    drawn = np.asarray(Image.open(kernel).convert("L"), float) if kernel.exists() else None
    picture = Image.open(method) if pictures else None
    return picture, drawn, stem.removeprefix(f"{name}_")


def row(path, results, peers, width):
    before = Image.open(path)
    height = round(width * before.height / before.width)
    cells = [
        cell(before, None, path.name, width, height),
        cell(*ours(results / path.stem), width, height),
        cell(*peer(peers, path.stem), width, height),
    ]
    sheet = Image.new("RGB", (3 * width + 2 * GAP, height + LINE + GAP), "white")
    for number, picture in enumerate(cells):
        sheet.paste(picture, (number * (width + GAP), 0))
    return sheet


def stacked(rows):
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
    top = 0
    for picture in rows:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("photos", "output"):
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path)
    parser.add_argument("--peers", type=pathlib.Path)
    parser.add_argument("--results", type=pathlib.Path)
    parser.add_argument("--width", type=int, default=480)
    given, flags = parser.parse_known_args()
    flags = [word for word in flags if word != "--"] or ["--flagfile=quickstart"]
    results = given.results or given.output.with_suffix("")
    photos = sorted(p for p in given.photos.iterdir() if p.suffix.lower() in ENDINGS)
    deblur(photos, results, flags)
    stacked([row(path, results, given.peers, given.width) for path in photos]).save(given.output)


if __name__ == "__main__":
    main()
