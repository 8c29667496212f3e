"""Which was blurred in photos of a real shake: the numbers in the file, or the light behind them?

    python -m benchmarks.quality.light_of_photos --data=KOEHLER [--photos=1_1,1_3,2_1,2_3]

KOEHLER holds blurry/ and sharp_jpeg/. In three places of a photo a kernel of 31 x 31 pixels and a
constant are fitted by least squares to the sharp picture, on 100 rows of 150, and predict the other
50: once from the values as they are, once with the sRGB curve undone, and once in between (a power
of 1.5). PSNR in dB of the prediction against the photo's values, whichever were fitted: the higher,
the nearer is that kind of value to what the camera added up. Green only.

Typical output (nothing is random), mean of 12 places: values 42.82, power 1.5 40.38, light 35.17
dB, and in this order at every place. So the set's files hold amounts of light, without a curve.
"""

import pathlib

import numpy as np

from benchmarks import common
from dem_jax.evaluation import tables
from dem_jax.runtime.files import colour, images

SIDE, ROWS, KERNEL, RIDGE = 150, 100, 31, 1e-4
PLACES = ((150, 150), (150, 500), (450, 300))
KINDS = {
    "values": (lambda v: v, lambda v: v),
    "power 1.5": (lambda v: v**1.5, lambda v: v ** (1 / 1.5)),
    "light": (colour.to_light, colour.from_light),
}


def prediction(sharp, photo, place, kind):
    """PSNR of the rows that the kernel was not fitted to."""
    (row, col), half, (forth, back) = place, KERNEL // 2, KINDS[kind]
    around = forth(sharp)[row - half : row + SIDE + half, col - half : col + SIDE + half]
    windows = np.lib.stride_tricks.sliding_window_view(around, (KERNEL, KERNEL))
    windows = windows.reshape(SIDE, SIDE, -1)
    inside = photo[row : row + SIDE, col : col + SIDE]
    known = windows[:ROWS, ::2].reshape(-1, KERNEL**2)
    known = np.concatenate([known, np.ones_like(known[:, :1])], axis=1)
    normal = (known.T @ known).astype(np.float64)
    weight = RIDGE * np.trace(normal) / len(normal)
    penalty = np.diag([weight] * KERNEL**2 + [0.0])
    kernel = np.linalg.solve(normal + penalty, known.T @ forth(inside[:ROWS, ::2]).ravel())
    predicted = windows[ROWS:].reshape(-1, KERNEL**2) @ kernel[:-1] + kernel[-1]
    error = back(np.clip(predicted, 0, 1)) - inside[ROWS:].ravel()
    return float(-10 * np.log10(np.mean(error**2)))


def main():
    arguments, _ = common.arguments_and_flags(__doc__, data=None, photos="1_1,1_3,2_1,2_3")
    folder, lines = pathlib.Path(arguments.data), []
    for photo in arguments.photos.split(","):
        truth = folder / "sharp_jpeg" / f"GroundTruth{photo.split('_')[0]}.jpg"
        paths = truth, folder / "blurry" / f"Blurry{photo}.png"
        sharp, blurry = (images.read_photo(path).pixels[..., 1] for path in paths)
        for place in PLACES:
            scores = [prediction(sharp, blurry, place, kind) for kind in KINDS]
            lines.append([f"{photo} at {place[0]}, {place[1]}", *scores])
    means = np.mean([line[1:] for line in lines], axis=0).tolist()
    print(common.machine())
    print(tables.markdown(["photo and place", *KINDS], [*lines, ["**mean**", *means]]))


if __name__ == "__main__":
    main()
