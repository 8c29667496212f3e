"""Scores results by a data set's own rules: `python -m dem_jax.evaluate --protocol=levin ...`.

Results are the folders that dem_jax.main leaves (NAME/deblurred.png) or plain pictures of any
method, named as in the data set.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from dem_jax.evaluation import protocols, reference_deconvolution, tables
from dem_jax.runtime.command import plain
from dem_jax.runtime.files import atomic, images

USAGE = """python -m dem_jax.evaluate --protocol=levin|lai|koehler --results=DIR --ground_truth=DIR

Prints a Markdown table (every photo, every group, the average, published results) and writes JSON.
Exit status: 0 all scored, 1 a picture could not be scored, 2 bad flags or nothing to score.
"""
ONE_FRAME = """Only one sharp frame was at hand where published scores take the best of about 200
lossless ones: compare these scores with each other, not with the table."""
RESULT = "deblurred.png"
TRUTH_FOLDERS = ("", "sharp", "sharp_jpeg", "ground_truth")


def run(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    values = define_flags()
    try:
        given = plain.read(
            values, "evaluate", argv, usage=USAGE, required=("protocol", "results", "ground_truth")
        )
        if given is None:
            return 0
        results = find_results(_folder(given, "results"))
        dataset = Dataset(given["protocol"], _folder(given, "ground_truth"))
    except (flags.Error, ValueError) as error:
        print(f"evaluate: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    report = evaluate(dataset, results, error_ratio=given["error_ratio"])
    if given["output"]:
        atomic.write_json(given["output"], report)
    for section, content in report["sections"].items():
        photos, averages = content["photos"], content["averages"]
        table = dataset.protocol.tables[section]
        print(tables.scores_table(photos, averages), end="\n\n")
        print(tables.published_table(table, averages, len(photos)), end="\n\n")
        if any(s.get("frames") == 1 for s in photos.values()):
            print(ONE_FRAME, end="\n\n")
    for name, message in report["failed"].items():
        print(f"evaluate: {name}: {message}", file=sys.stderr)
    return 1 if report["failed"] else 0


def define_flags() -> flags.FlagValues:
    """All flags, in a registry of their own."""
    values = flags.FlagValues()
    own: dict[str, Any] = {"flag_values": values}
    names = sorted(protocols.PROTOCOLS)
    flags.DEFINE_enum("protocol", None, names, "The data set whose rules hold.", **own)
    flags.DEFINE_string("results", None, "Folder of results.", **own)
    flags.DEFINE_string(
        "ground_truth", None, "The data set's folder, or that of its sharp pictures.", **own
    )
    flags.DEFINE_string("output", None, "JSON file to write.", **own)
    flags.DEFINE_boolean(
        "error_ratio", True, "Levin: error ratios, where kernels and photos are at hand.", **own
    )
    flags.DEFINE_boolean("help", False, "This text.", short_name="h", **own)
    return values


def find_results(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The result pictures in a folder by photo name.

    Folders of runs that left no picture count too: leaving them out would flatter the average.

    Raises:
      ValueError: where there are none.
    """
    runs = {path.parent for name in (RESULT, "run.json") for path in folder.glob(f"*/{name}")}
    found = {run.name: run / RESULT for run in sorted(runs)}
    found = found or {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in images.EXTENSIONS
    }
    if not found:
        raise ValueError(f"--results={folder} holds neither NAME/{RESULT} nor pictures.")
    return found


class Dataset:
    """The truth of one data set on disk."""

    def __init__(self, name: str, folder: pathlib.Path) -> None:
        self.name = name
        self.protocol = protocols.PROTOCOLS[name]
        self.roots = (folder, folder.parent)
        self.truths = [
            path
            for sub in TRUTH_FOLDERS
            for path in sorted((folder / sub).glob("*"))
            if path.is_dir() or path.suffix.lower() in images.EXTENSIONS
        ]

    def sharp(self, stem: str) -> pathlib.Path:
        """The sharp picture of a stem."""
        for path in self.truths:
            if path.stem == stem and path.is_file():
                return path
        raise ValueError(f"no sharp picture {stem} under {self.roots[0]}.")

    def frames(self, stem: str) -> list[pathlib.Path]:
        """Koehler's sharp frames GroundTruthI_J: a folder, files STEM_*, or one for the image."""
        folders = [p for p in self.truths if p.is_dir() and p.name == stem]
        numbered = [p for p in self.truths if p.stem.startswith(f"{stem}_") and p.is_file()]
        inside = [p for f in folders for p in sorted(f.iterdir()) if p.suffix in images.EXTENSIONS]
        return inside or numbered or [self.sharp(stem.split("_")[0])]

    def reference(self, photo: str, case: protocols.Case) -> np.ndarray | None:
        """The deconvolution with the true kernel, None where its ingredients are missing."""
        for root in self.roots:
            kernel, blurry = root / "kernels" / f"{case.kernel}.png", root / "blurry" / photo
            blurry = blurry.with_name(blurry.name + ".png")
            if kernel.is_file() and blurry.is_file():
                return reference_deconvolution.deconvolve_unknown_orientation(
                    _pixels(blurry), _pixels(kernel)[..., 0]
                ).image
        return None

    def score(self, photo: str, path: pathlib.Path, *, error_ratio: bool) -> protocols.Scores:
        """Scores one result."""
        case = self.protocol.identify(photo)
        result = _pixels(path)
        if self.name == "koehler":
            frames = [_pixels(frame) for frame in self.frames(case.truth)]
            return protocols.koehler_score(result, frames)
        sharp = _pixels(self.sharp(case.truth))
        if self.name == "lai":
            return protocols.lai_score(result, sharp, rotation=case.section == "nonuniform")
        reference = self.reference(photo, case) if error_ratio else None
        return protocols.levin_score(result, sharp, reference=reference)


def evaluate(
    dataset: Dataset, results: dict[str, pathlib.Path], *, error_ratio: bool = True
) -> dict[str, Any]:
    """Scores all results; a picture that fails is named under "failed" and the others go on."""
    scores: dict[str, protocols.Scores] = {}
    failed: dict[str, str] = {}
    for photo, path in results.items():
        try:
            scores[photo] = dataset.score(photo, path, error_ratio=error_ratio)
        except ValueError as error:
            failed[photo] = str(error)
        except MemoryError:
            failed[photo] = f"the memory is too small for {path}."
    cases = {photo: dataset.protocol.identify(photo) for photo in scores}
    sections: dict[str, Any] = {}
    for section in dataset.protocol.tables:
        own = {photo: s for photo, s in scores.items() if cases[photo].section == section}
        if not own:
            continue
        averages = tables.summarize(own, {photo: case.group for photo, case in cases.items()})
        sections[section] = {"photos": own, "averages": averages}
    reference = dataclasses.asdict(reference_deconvolution.Parameters())
    return {
        "protocol": dataset.name,
        "sections": sections,
        "failed": failed,
        "reference_deconvolution": reference,
    }


def _pixels(path: pathlib.Path) -> np.ndarray:
    return images.read_photo(path).pixels


def _folder(given: dict[str, Any], name: str) -> pathlib.Path:
    folder = pathlib.Path(given[name]).expanduser()
    if not folder.is_dir():
        raise ValueError(f"--{name}={folder} is not a folder.")
    return folder


if __name__ == "__main__":
    sys.exit(run())
