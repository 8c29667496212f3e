"""How long does a photo take from the command line, before and after?

    python -m benchmarks.speed.whole_photos --photos=A.png,B.png --rows=FILE [--tree=CHECKOUT] \\
        [-- FLAGS]

Every photo goes through dem_jax.main twice, each time in a process of its own: with an empty cache
of programs, then with what that run left. FLAGS are dem_jax.main's. --tree is another checkout,
whose rows are kept in the same file, to compare commits on one idle machine. "estimated" is what
was said before the work began, without compiling.
"""

import pathlib
import sys
import tempfile

from PIL import Image

from benchmarks import common

COLUMNS = ("pixels", "cold", "compile", "warm", "estimated", "memory")


def measure(photo, tree, flags):
    """The row of one photo: seconds, MB."""
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        cold, warm = (
            common.deblur(
                folder / state, f"--input={photo}", *flags, cache=str(folder / "cache"), tree=tree
            )
            for state in ("cold", "warm")
        )
    estimated = cold.get("estimated_seconds") or {}
    return {
        "commit": common.commit(tree),
        "pixels": " x ".join(map(str, Image.open(photo).size)),
        "cold": cold["seconds"],
        "compile": cold["timings_seconds"]["compile"],
        "warm": warm["seconds"],
        "estimated": sum(s for stage, s in estimated.items() if not stage.startswith("compiling")),
        "memory": cold["peak_memory_mb"],
    }


def main():
    args, flags = common.arguments_and_flags(__doc__, photos=None, rows=None, tree="")
    tree = pathlib.Path(args.tree or common.REPOSITORY).resolve()
    tasks = {
        f"{pathlib.Path(photo).stem}, {common.commit(tree)}": lambda photo=photo: measure(
            pathlib.Path(photo).resolve(), tree, flags
        )
        for photo in args.photos.split(",")
    }
    rows = common.kept_rows(args.rows, tasks)
    print(
        common.table(
            ["photo, commit", *COLUMNS], [[n, *[r[c] for c in COLUMNS]] for n, r in rows.items()]
        )
    )


if __name__ == "__main__":
    sys.exit(main())
