"""Puts photos beside what dem_jax made of them: the picture of the README.

    bin/demo && python -m benchmarks.figures.before_after --output=docs/images/before_after.png \\
        out/demo/astronaut.png out/demo/astronaut/deblurred.png
"""

import argparse

from PIL import Image

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--output", required=True)
parser.add_argument("pictures", nargs="+")
arguments = parser.parse_args()
pictures = [Image.open(path).convert("RGB") for path in arguments.pictures]
gap = 8
width = sum(p.width for p in pictures) + gap * (len(pictures) - 1)
sheet = Image.new("RGB", (width, max(p.height for p in pictures)), "white")
x = 0
for picture in pictures:
    sheet.paste(picture, (x, 0))
    x += picture.width + gap
sheet.save(arguments.output)
