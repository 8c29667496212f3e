"""Files of which bytes are others, or the end is missing, are read or refused, never worse."""

import importlib.util
import io
import subprocess
import sys

import cv2
import numpy as np
import odd_files
import pytest
from odd_files import random_samples
from PIL import Image

from dem_jax.runtime.files import images


def mutate(data, rng):
    data = bytearray(data)
    for _ in range(rng.integers(1, 8)):
        data[rng.integers(len(data))] = rng.integers(256)
    return bytes(data[: rng.integers(len(data) // 2, len(data) + 1)])


def compressed_tiffs(samples):
    """In strips and tiles, as far as the codecs are installed."""
    codecs = ("zlib", "packbits")
    if importlib.util.find_spec("imagecodecs"):
        codecs += ("lzw", "jpeg", "zstd", "lzma")
    options = {"photometric": "rgb", "metadata": None}
    for codec in codecs:
        yield odd_files.tiff(samples, compression=codec, rowsperstrip=8, **options)
        yield odd_files.tiff(samples, compression=codec, tile=(16, 16), **options)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tiff", ".webp"])
def test_mutated_files_read_or_explain(tmp_path, ending):
    rng = np.random.default_rng(1)
    sources = [cv2.imencode(ending, random_samples((16, 16, 3), np.uint8))[1].tobytes()]
    if ending in (".png", ".tiff"):
        sources.append(cv2.imencode(ending, random_samples((16, 16, 3), np.uint16))[1].tobytes())
    if ending == ".tiff":
        sources += compressed_tiffs(random_samples((16, 16, 3), np.uint8))
    path = tmp_path / f"x{ending}"
    for i in range(60):
        path.write_bytes(mutate(sources[i % len(sources)], rng))
        try:
            photo = images.read_photo(path)
        except images.PhotoError:
            continue
        assert np.isfinite(photo.pixels).all()


FUZZ = """
import pathlib, resource, sys, time
import numpy as np
from dem_jax.runtime.files import images
resource.setrlimit(resource.RLIMIT_AS, (RESERVED, RESERVED))
read = refused = 0
slowest = 0.0
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    began = time.monotonic()
    try:
        photo = images.read_photo(path)
        assert np.isfinite(photo.pixels).all() and photo.pixels.shape[-1] in (1, 3)
        read += 1
    except images.PhotoError as error:
        text = str(error)
        assert text.startswith(str(path)) and text.endswith(".") and "\\n" not in text, text
        refused += 1
    slowest = max(slowest, time.monotonic() - began)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(read, refused, slowest, peak)
""".replace("RESERVED", str(16 * 2**30))


def phones_and_cameras():
    """Seeds of the formats that extras read, as far as they are installed."""
    seeds = [(".dng", odd_files.dng(odd_files.PIXELS.astype(np.uint16), odd_files.PIXELS[:8, :8]))]
    seeds += [(".avif", odd_files.saved("AVIF")), (".jp2", odd_files.saved("JPEG2000"))]
    if importlib.util.find_spec("pillow_heif"):
        seeds.append((".heic", odd_files.heic(odd_files.PIXELS)))
    if importlib.util.find_spec("rawpy"):
        seeds.append((".dng", odd_files.raw_dng(odd_files.PIXELS[..., 0].astype(np.uint16))))
    return seeds


@pytest.mark.slow
def test_2000_mutated_files_read_or_explain_in_time_and_memory(tmp_path):
    """In a process of its own, whose memory is measured and bounded."""
    rng = np.random.default_rng(2)
    seeds = []
    for dtype in (np.uint8, np.uint16):
        for shape in ((24, 32, 3), (24, 32)):
            picture = random_samples(shape, dtype)
            for ending in (".png", ".tiff", ".jpg"):
                if ending != ".jpg" or dtype == np.uint8:
                    seeds.append((ending, cv2.imencode(ending, picture)[1].tobytes()))
    for compression in ("zlib", "lzma", None):
        floats = rng.random((24, 32, 3)).astype(np.float32)
        seeds.append((".tiff", odd_files.tiff(floats, photometric="rgb", compression=compression)))
    seeds += [(".tiff", data) for data in compressed_tiffs(random_samples((24, 32, 3), np.uint8))]
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a camera", 6
    buffer = io.BytesIO()
    Image.fromarray(random_samples((24, 32, 3), np.uint8)).save(buffer, "JPEG", exif=exif)
    seeds.append((".jpg", buffer.getvalue()))
    seeds += phones_and_cameras()
    (tmp_path / "files").mkdir()
    for i in range(2000):
        ending, data = seeds[i % len(seeds)]
        broken = mutate(data, rng)
        broken += data[len(broken) :] if i % 2 else b""  # every other file keeps its length
        (tmp_path / "files" / f"{i:04}{ending}").write_bytes(broken)
    ran = subprocess.run(
        [sys.executable, "-c", FUZZ, str(tmp_path / "files")],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    read, refused, slowest, peak = map(float, ran.stdout.split())
    assert read + refused == 2000
    assert read > 100
    assert refused > 100
    assert slowest < 20
    assert peak < 2
