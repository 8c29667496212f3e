"""A program that writes what `dem-jax --progress=json` does, in place of it."""

# Its arguments: the folder of all results, and how many seconds it shows its preview.
WRITES = """
import json, pathlib, sys, time
import numpy as np
from PIL import Image
folder = pathlib.Path(sys.argv[1], "a")
folder.mkdir()
for line in ({"photo": "a.png", "stage": "EM 1/3", "fraction": 0.5, "seconds_left": 75.0},
             {"photo": "a.png", "message": "a.png: done"}):
    print(json.dumps(line), file=sys.stderr, flush=True)
print("a plain line", file=sys.stderr)
Image.fromarray(np.full((20, 24), 99, np.uint8)).save(folder / "preview.png")
print("another", file=sys.stderr, flush=True)
time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0)
print("no picture since then", file=sys.stderr, flush=True)
for name in ("deblurred", "kernels"):
    Image.fromarray(np.zeros((20, 24), np.uint8)).save(folder / f"{name}.png")
record = {"status": "done", "kernel": "found", "warnings": ["Look twice."],
          "evidence": {"kernel_confidence": 0.93}, "timings_seconds": {"total": 12.2}}
(folder / "run.json").write_text(json.dumps(record))
"""
