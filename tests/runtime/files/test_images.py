"""Photos survive reading and writing: every pixel, every bit, and what travels beside them."""

import importlib.util
import io
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import odd_files
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from dem_jax.runtime.files import images, photo, writing

RNG = np.random.default_rng(0)
SHAPES = {"grey": (13, 17, 1), "rgb": (13, 17, 3)}


def random_samples(shape, dtype):
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def loaded(path):
    with Image.open(path) as image:
        image.load()
        return image


def squeeze(samples):
    return samples[..., 0] if samples.shape[-1] == 1 else samples


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_every_bit_survives(tmp_path, kind, dtype, ending):
    samples = random_samples(SHAPES[kind], dtype)
    bgr = squeeze(samples[..., ::-1])
    assert cv2.imwrite(str(tmp_path / f"in{ending}"), bgr)
    photo = images.read_photo(tmp_path / f"in{ending}")
    assert photo.pixels.dtype == np.float32
    assert photo.bit_depth == 8 * samples.itemsize
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    written = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert written.dtype == dtype
    np.testing.assert_array_equal(written, bgr)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_kept_beside(tmp_path, dtype, channels):
    samples = random_samples((9, 11, channels), dtype)
    tifffile.imwrite(
        tmp_path / "in.tiff",
        samples,
        photometric="rgb" if channels == 4 else "minisblack",
        extrasamples=["unassalpha"],
    )
    photo = images.read_photo(tmp_path / "in.tiff")
    np.testing.assert_array_equal(photo.alpha, samples[..., -1])
    assert photo.pixels.shape == (9, 11, channels - 1)
    writing.write_photo(tmp_path / "out.png", 1 - photo.pixels, photo)
    again = images.read_photo(tmp_path / "out.png")
    np.testing.assert_array_equal(again.alpha, samples[..., -1])
    np.testing.assert_allclose(again.pixels, 1 - photo.pixels, atol=1e-6)
    assert again.bit_depth == photo.bit_depth


def test_our_16_bit_png_is_one_for_other_readers(tmp_path):
    samples = random_samples((7, 5, 4), np.uint16)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    photo = images.Photo(samples[..., :3] / np.float32(65535), samples[..., 3], 16, profile, None)
    photo = images.Photo(photo.pixels, photo.alpha, 16, profile, exif.tobytes())
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    read = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read[..., [2, 1, 0, 3]], samples)
    image = loaded(tmp_path / "out.png")
    assert image.info["icc_profile"] == profile
    assert image.getexif()[0x010F] == "a camera"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_once(tmp_path, orientation):
    samples = random_samples((8, 16, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a camera"
    Image.fromarray(samples).save(tmp_path / "in.png", exif=exif)
    photo = images.read_photo(tmp_path / "in.png")
    expected = np.asarray(ImageOps.exif_transpose(loaded(tmp_path / "in.png")))
    np.testing.assert_array_equal(np.rint(photo.pixels * 255), expected)
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    written = loaded(tmp_path / "out.png").getexif()
    assert written[0x010F] == "a camera"
    assert written.get(0x0112, 1) == 1


def test_palette_becomes_rgb(tmp_path):
    image = Image.fromarray(random_samples((8, 8, 3), np.uint8)).quantize(16)
    image.save(tmp_path / "in.png")
    photo = images.read_photo(tmp_path / "in.png")
    np.testing.assert_array_equal(np.rint(photo.pixels * 255), np.asarray(image.convert("RGB")))


def test_transparent_palette_keeps_its_alpha(tmp_path):
    image = Image.fromarray(random_samples((8, 8, 3), np.uint8)).quantize(16)
    image.save(tmp_path / "in.png", transparency=3)
    photo = images.read_photo(tmp_path / "in.png")
    np.testing.assert_array_equal(photo.alpha == 0, np.asarray(image) == 3)


def test_cmyk_becomes_rgb_and_says_so(tmp_path):
    Image.new("CMYK", (16, 16), (0, 0, 0, 0)).save(tmp_path / "in.jpg", quality=95)
    photo = images.read_photo(tmp_path / "in.jpg")
    assert photo.pixels.shape == (16, 16, 3)
    np.testing.assert_allclose(photo.pixels, 1.0, atol=0.02)
    assert any("CMYK" in note for note in photo.notes)


def test_icc_profile_and_webp(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    samples = random_samples((8, 9, 3), np.uint8)
    Image.fromarray(samples).save(tmp_path / "in.webp", lossless=True, icc_profile=profile)
    photo = images.read_photo(tmp_path / "in.webp")
    np.testing.assert_array_equal(np.rint(photo.pixels * 255), samples)
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    assert loaded(tmp_path / "out.png").info["icc_profile"] == profile


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_tiff_round_trip(tmp_path, channels, dtype):
    samples = RNG.random((6, 7, channels)).astype(dtype)
    tifffile.imwrite(
        tmp_path / "in.tiff",
        squeeze(samples),
        photometric="rgb" if channels > 2 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else [],
    )
    photo = images.read_photo(tmp_path / "in.tiff")
    assert photo.bit_depth == 32
    writing.write_photo(tmp_path / "out.tiff", photo.pixels, photo)
    written = tifffile.imread(tmp_path / "out.tiff")
    assert written.dtype == np.float32
    np.testing.assert_array_equal(written, squeeze(samples.astype(np.float32)))
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    assert images.read_photo(tmp_path / "out.png").bit_depth == 16


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planar_16_bit_tiff(tmp_path, compression):
    planes = random_samples((3, 6, 7), np.uint16)
    tifffile.imwrite(
        tmp_path / "in.tiff",
        planes,
        photometric="rgb",
        planarconfig="separate",
        compression=compression,
    )
    photo = images.read_photo(tmp_path / "in.tiff")
    np.testing.assert_array_equal(np.rint(photo.pixels * 65535), np.moveaxis(planes, 0, -1))


def test_white_is_zero_tiff(tmp_path):
    samples = random_samples((6, 7), np.uint16)
    tifffile.imwrite(tmp_path / "in.tiff", samples, photometric="miniswhite")
    pixels = images.read_photo(tmp_path / "in.tiff").pixels[..., 0]
    np.testing.assert_array_equal(np.rint(pixels * 65535), 65535 - samples.astype(int))


def truncated(suffix, **options):
    buffer = io.BytesIO()
    Image.fromarray(random_samples((64, 64, 3), np.uint8)).save(buffer, suffix, **options)
    return buffer.getvalue()[: len(buffer.getvalue()) // 2]


def truncated_16():
    data = cv2.imencode(".png", random_samples((64, 64, 3), np.uint16))[1].tobytes()
    return data[: len(data) // 2]


def png_bomb(side, depth):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, depth, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10_000)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def tiff_of(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


BAD = {
    "text.png": (b"This is not a picture.\n", "not a picture"),
    "empty.png": (b"", "not a picture"),
    "gif.png": (b"GIF89a" + bytes(30), "GIF file that is damaged"),
    "cut.png": (truncated("PNG"), "damaged"),
    "cut.jpg": (truncated("JPEG", quality=95)[:1500], "% of it is missing"),
    "cut.webp": (truncated("WEBP", lossless=True), "damaged"),
    "cut.tiff": (truncated("TIFF"), "damaged"),
    "cut16.png": (truncated_16(), "damaged"),
    "bomb.png": (png_bomb(60_000, 8), "million pixels"),
    "smaller_bomb.png": (png_bomb(11_000, 8), "million pixels"),
    "bomb16.png": (png_bomb(60_000, 16), "million pixels"),
    "nan.tiff": (tiff_of(np.array([[0.5, np.nan]], np.float32)), "NaN or infinite"),
    "inf.tiff": (tiff_of(np.array([[0.5, np.inf]], np.float32)), "NaN or infinite"),
    "range.tiff": (tiff_of(np.array([[0.5, 255.0]], np.float32)), "between 0 and 1"),
    "int32.tiff": (tiff_of(np.zeros((4, 4), np.int32)), "int32"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_get_one_sentence(tmp_path, name):
    data, reason = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(images.PhotoError, match=reason) as error:
        images.read_photo(tmp_path / name)
    message = str(error.value)
    assert name in message
    assert "\n" not in message
    assert message.endswith(".")


def cut(data):
    return data[: len(data) // 2]


def overwritten(data):
    """Its middle bytes are others."""
    middle = len(data) // 2
    return data[: middle - 60] + b"\x55" * 120 + data[middle + 60 :]


DAMAGED = {
    "lzw.tif": lambda: overwritten(odd_files.saved("TIFF", compression="tiff_lzw")),
    "deflate.tif": lambda: overwritten(odd_files.saved("TIFF", compression="tiff_adobe_deflate")),
    "x.gif": lambda: cut(odd_files.saved("GIF")),
    "x.bmp": lambda: cut(odd_files.saved("BMP")),
    "x.qoi": lambda: cut(odd_files.saved("QOI")),
    "x.avif": lambda: cut(odd_files.saved("AVIF")),
    "x.jp2": lambda: cut(odd_files.saved("JPEG2000")),
    "x.webp": lambda: cut(odd_files.saved("WEBP")),
    "x.ppm": lambda: cut(odd_files.saved("PPM")),
    "float.tif": lambda: cut(tiff_of(np.zeros((48, 64), np.float32), compression="zlib")),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_decoders_own_words_are_not_the_users(tmp_path, capfd, name):
    """They are the cause of the error, and nothing is printed beside it."""
    (tmp_path / name).write_bytes(DAMAGED[name]())
    with pytest.raises(images.PhotoError, match="damaged or incomplete: its ") as error:
        images.read_photo(tmp_path / name)
    article = "an" if name == "x.avif" else "a"
    assert str(error.value).startswith(f"{tmp_path / name} is {article} ")
    assert str(error.value).endswith("with a program that opens it.")
    cause = error.value.__cause__
    assert cause is not None
    assert str(cause) not in str(error.value)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_damage_that_a_decoder_only_prints_is_said(tmp_path, capfd):
    image = Image.fromarray(RNG.random((48, 64)) > 0.5)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression="group4")
    (tmp_path / "fax.tif").write_bytes(buffer.getvalue())
    assert images.read_photo(tmp_path / "fax.tif").notes == ()
    (tmp_path / "fax.tif").write_bytes(overwritten(buffer.getvalue()))
    (note,) = images.read_photo(tmp_path / "fax.tif").notes
    assert "look whether the picture is whole" in note
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("where", ["decoding", "making"])
def test_too_small_a_memory_is_no_damage(tmp_path, monkeypatch, where):
    def exhausted(*_):
        raise MemoryError

    cv2.imwrite(str(tmp_path / "in.tiff"), random_samples((13, 17, 3), np.uint16))
    owner, name = {"decoding": (tifffile.TiffPage, "asarray"), "making": (photo, "turn")}[where]
    monkeypatch.setattr(owner, name, exhausted)
    with pytest.raises(MemoryError):
        images.read_photo(tmp_path / "in.tiff")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Pixel allocation failed: Out of memory"),
        RuntimeError("Memory allocation error: Unspecified: Allocating 48000015 bytes failed"),
    ],
)
def test_a_decoder_that_lacks_memory_tells_of_no_damage(tmp_path, monkeypatch, error):
    def exhausted(_):
        raise error

    (tmp_path / "x.avif").write_bytes(odd_files.saved("AVIF"))
    monkeypatch.setattr("dem_jax.runtime.files.pillow_reader._plain_mode", exhausted)
    with pytest.raises(MemoryError):
        images.read_photo(tmp_path / "x.avif")


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "absent.png", tmp_path):
        with pytest.raises(images.PhotoError, match="cannot be read"):
            images.read_photo(path)


def mutate(data, rng):
    data = bytearray(data)
    for _ in range(rng.integers(1, 8)):
        data[rng.integers(len(data))] = rng.integers(256)
    return bytes(data[: rng.integers(len(data) // 2, len(data) + 1)])


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tiff", ".webp"])
def test_mutated_files_read_or_explain(tmp_path, ending):
    rng = np.random.default_rng(1)
    sources = [cv2.imencode(ending, random_samples((16, 16, 3), np.uint8))[1].tobytes()]
    if ending in (".png", ".tiff"):
        sources.append(cv2.imencode(ending, random_samples((16, 16, 3), np.uint16))[1].tobytes())
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
        floats = RNG.random((24, 32, 3)).astype(np.float32)
        seeds.append((".tiff", tiff_of(floats, photometric="rgb", compression=compression)))
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
