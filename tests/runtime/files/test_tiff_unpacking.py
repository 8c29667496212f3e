"""Of a compressed TIFF that is damaged every row that can be decompressed is used, and is right."""

import io
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile
from odd_files import PIXELS, saved, tiff, with_tag
from PIL import Image

from dem_jax.runtime.files import images, tiff_unpacking
from dem_jax.runtime.files.photo import DOUBT

SHADES = np.add.outer(np.arange(96), np.arange(128)) % 256  # which all codecs make smaller
SMOOTH = np.stack([SHADES, SHADES[::-1], SHADES[:, ::-1]], axis=-1).astype(np.uint8)
SAMPLES = {
    "8": SMOOTH,
    "16": SMOOTH.astype(np.uint16) * 257,
    "float": (SMOOTH / 255).astype(np.float32),
}
LAYOUTS = {
    "strips": {"rowsperstrip": 16},
    "one strip": {"rowsperstrip": 96},
    "tiles": {"tile": (32, 32)},
}
CODECS = ("lzw", "zlib", "packbits", "lzma", "zstd")
ENDED = "the end of the file is missing, and "


def packed(samples, codec, layout="strips", **options):
    options |= LAYOUTS[layout]
    return tiff(samples, photometric="rgb", compression=codec, metadata=None, **options)


def read(tmp_path, data):
    (tmp_path / "x.tif").write_bytes(data)
    return images.read_photo(tmp_path / "x.tif")


def places(data):
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return file.pages.first.dataoffsets, file.pages.first.databytecounts


def changed(data, tag, values):
    """The file with other numbers in a tag of its first page."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        found = file.pages.first.tags[tag]
        kind = {3: "<u2", 4: "<u4"}[int(found.dtype)]
        numbers = np.array(values(np.atleast_1d(found.value).tolist()), kind).tobytes()
    return data[: found.valueoffset] + numbers + data[found.valueoffset + len(numbers) :]


def check_cut(photo, whole, least=0.05, most=0.45):
    """What is missing is told and left out, and the rest is what it was."""
    notes = [note for note in photo.notes if note not in whole.notes]
    assert len(notes) == 1
    assert notes[0].startswith(ENDED)
    known = photo.weight == 1
    assert least < 1 - known.mean() < most
    np.testing.assert_array_equal(photo.pixels[known], whole.pixels[known])


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("codec", ["lzw", "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_of_differences_the_rows_that_are_there_are_used(
    tmp_path, codec, kind, layout, predictor, byteorder
):
    pytest.importorskip("imagecodecs")
    data = packed(SAMPLES[kind], codec, layout, predictor=predictor, byteorder=byteorder)
    whole = read(tmp_path, data)
    assert whole.notes == ()
    check_cut(read(tmp_path, data[: int(0.8 * len(data))]), whole)


@pytest.mark.parametrize("layout", ["strips", "tiles"])
@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("codec", ["packbits", "lzma", "zstd"])
def test_of_every_codec_the_rows_that_are_there_are_used(tmp_path, codec, kind, layout):
    pytest.importorskip("imagecodecs")
    data = packed(SAMPLES[kind], codec, layout)
    whole = read(tmp_path, data)
    begins, _ = places(data)
    check_cut(read(tmp_path, data[: begins[3 * len(begins) // 4] + 20]), whole)


@pytest.mark.parametrize("codec", CODECS)
def test_rows_of_the_strip_that_is_cut_are_used(tmp_path, codec):
    pytest.importorskip("imagecodecs")
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    data = packed(noise, codec)
    whole = read(tmp_path, data)
    begins, lengths = places(data)
    photo = read(tmp_path, data[: begins[5] + lengths[5] // 2])
    check_cut(photo, whole)
    rows = (photo.weight == 1).all(axis=1).sum()
    assert 86 <= rows <= 88


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
def test_of_jpeg_the_rows_that_are_there_are_used(tmp_path, photometric, layout):
    pytest.importorskip("imagecodecs")
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    options = {"rowsperstrip": 32} if layout == "strips" else LAYOUTS[layout]
    data = tiff(noise, photometric=photometric, compression="jpeg", metadata=None, **options)
    whole = read(tmp_path, data)
    check_cut(read(tmp_path, data[: int(0.8 * len(data))]), whole)


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("codec", CODECS)
def test_strips_that_lie_beyond_the_end_are_missing(tmp_path, codec, planes):
    pytest.importorskip("imagecodecs")
    samples = np.moveaxis(SMOOTH, -1, 0) if planes else SMOOTH
    data = packed(samples, codec, planarconfig="separate" if planes else "contig")
    whole = read(tmp_path, data)
    photo = read(tmp_path, data[: places(data)[0][-1]])
    check_cut(photo, whole)
    assert (photo.weight[:80] == 1).all()
    assert (photo.weight[80:] == 1).mean() < 0.01  # of the last plane the filling may be a value


@pytest.mark.parametrize("codec", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["P", "CMYK", "YCbCr", "1", "L"])
def test_every_kind_of_colour_is_used_as_far_as_it_goes(tmp_path, mode, codec):
    image = Image.fromarray(SMOOTH)
    image = image.quantize(64) if mode == "P" else image.convert(mode)
    data = in_front(saved("TIFF", image, compression=codec))
    whole = read(tmp_path, data)
    check_cut(read(tmp_path, data[: -places(data)[1][-1] // 4]), whole)


def in_front(data):
    """The file with its pixels once more behind its directory, where a cut loses them."""
    begins, lengths = places(data)
    pixels = b"".join(data[at : at + n] for at, n in zip(begins, lengths, strict=True))
    shift = len(data) - begins[0]
    data = changed(data, 273, lambda all_: [at + shift for at in all_])
    return data + pixels


def test_less_than_a_half_is_too_little(tmp_path):
    data = packed(SMOOTH, "zlib")
    with pytest.raises(images.PhotoError, match=r"incomplete: [56]\d% of it is missing"):
        read(tmp_path, data[: places(data)[0][2] + 20])


@pytest.mark.parametrize("codec", ["zlib", "lzw"])
def test_a_strip_that_is_damaged_is_left_out_alone(tmp_path, codec):
    pytest.importorskip("imagecodecs")
    data = packed(SMOOTH, codec)
    whole = read(tmp_path, data)
    begins, lengths = places(data)
    middle = begins[2] + lengths[2] // 2
    photo = read(tmp_path, data[:middle] + b"\xff" * 12 + data[middle + 12 :])
    (note,) = photo.notes
    assert note == "a part of its data is damaged, and 17% of the picture"
    np.testing.assert_array_equal(np.flatnonzero((photo.weight == 0).any(axis=1)), range(32, 48))
    known = photo.weight == 1
    np.testing.assert_array_equal(photo.pixels[known], whole.pixels[known])


def longer(codec):
    """A file whose third strip gives all its rows and more, which decoders refuse."""
    data = packed(SMOOTH, codec)
    begins, lengths = places(data)
    begin, end = begins[2], begins[2] + lengths[2]
    if codec == "packbits":  # longer runs of the byte that follows
        strip = np.frombuffer(data[begin:end], np.uint8).copy()
        strip[:20:2], strip[1:20:2] = 129, 7
        return data[:begin] + strip.tobytes() + data[end:]
    rows = zlib.decompress(data[begin:end]) + bytes(range(200))
    strip = zlib.compress(rows, 9)[:-4] + b"none"  # no checksum of theirs
    return changed(changed(data + strip, 273, moved(len(data))), 279, moved(len(strip)))


def moved(value):
    return lambda numbers: [*numbers[:2], value, *numbers[3:]]


@pytest.mark.parametrize("codec", ["zlib", "packbits"])
def test_a_strip_that_is_longer_than_its_rows_is_left_out_alone(tmp_path, codec):
    pytest.importorskip("imagecodecs")
    whole = read(tmp_path, packed(SMOOTH, codec))
    photo = read(tmp_path, longer(codec))
    assert photo.notes == ("a part of its data is damaged, and 17% of the picture",)
    np.testing.assert_array_equal(np.flatnonzero((photo.weight == 0).any(axis=1)), range(32, 48))
    known = photo.weight == 1
    np.testing.assert_array_equal(photo.pixels[known], whole.pixels[known])


def test_damage_that_is_not_found_is_not_passed_over(tmp_path):
    """Packed bits have no checksum: what comes of other bytes is no picture."""
    pytest.importorskip("imagecodecs")
    data = packed(SMOOTH, "packbits", "one strip")
    ((begin,), _) = places(data)
    data = data[: begin + 10] + bytes([data[begin + 10] ^ 0x5A]) + data[begin + 11 :]
    assert tiff_unpacking.unpacked(data, None) is None


LENGTHS = {
    "the first is too long": lambda all_: [60_000, *all_[1:]],
    "all are too long": lambda all_: [60_000] * len(all_),
    "all are too short": lambda all_: [5] * len(all_),
    "one is too short": lambda all_: [*all_[:2], 5, *all_[3:]],
}


@pytest.mark.parametrize("case", LENGTHS)
@pytest.mark.parametrize("codec", CODECS)
def test_lengths_that_are_nonsense_are_not_needed(tmp_path, codec, case):
    pytest.importorskip("imagecodecs")
    data = packed(SMOOTH, codec)
    photo = read(tmp_path, changed(data, 279, LENGTHS[case]))
    assert photo.notes == (DOUBT,)
    assert photo.weight is None
    np.testing.assert_array_equal(np.rint(photo.pixels * 255), SMOOTH)


@pytest.mark.parametrize("samples", [SMOOTH, SMOOTH[..., 0] > 127], ids=["8", "1"])
def test_packed_bits_longer_than_the_file_are_no_damage(tmp_path, samples):
    data = saved("TIFF", samples, compression="packbits")
    photo = read(tmp_path, with_tag(data, 279, at=8, value=10**6))
    assert photo.weight is None
    np.testing.assert_array_equal(photo.pixels, read(tmp_path, data).pixels)


@pytest.mark.parametrize("said", [1, 15, 17, 40, 96, 60_000])
@pytest.mark.parametrize("codec", CODECS)
def test_rows_of_strips_are_what_the_first_one_holds(tmp_path, codec, said):
    pytest.importorskip("imagecodecs")
    data = changed(packed(SMOOTH, codec), 278, lambda _: [said])
    photo = read(tmp_path, data)
    assert photo.notes == ("its header is wrong about the rows of a strip; 16 are taken", DOUBT)
    np.testing.assert_array_equal(np.rint(photo.pixels * 255), SMOOTH)


@pytest.mark.parametrize("codec", ["lzw", "zlib", "packbits"])
def test_a_picture_in_one_strip_has_all_rows_in_it(tmp_path, codec):
    data = changed(packed(SMOOTH, codec, "one strip"), 278, lambda _: [7])
    photo = read(tmp_path, data)
    assert photo.notes[0] == "its header is wrong about the rows of a strip; 96 are taken"
    np.testing.assert_array_equal(np.rint(photo.pixels * 255), SMOOTH)


def test_a_picture_that_claims_too_much_is_not_unpacked():
    data = changed(packed(PIXELS, "zlib"), 257, lambda _: [2**15])
    data = changed(changed(data, 256, lambda _: [2**15]), 278, lambda _: [2**15])
    with pytest.raises(images.PhotoError, match="million pixels"):
        tiff_unpacking.unpacked(data, None)


WITHOUT_CODECS = """
import pathlib, sys
sys.modules["imagecodecs"] = None
import numpy as np
from dem_jax.runtime.files import images
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.tif")):
    photo = images.read_photo(path)
    np.savez(path.with_suffix(".npz"), pixels=photo.pixels, weight=photo.weight)
"""


def test_no_extra_is_needed_for_it(tmp_path):
    pytest.importorskip("imagecodecs")
    for kind, samples in SAMPLES.items():
        for codec in ("lzw", "zlib", "packbits"):
            data = packed(samples, codec)
            (tmp_path / f"{kind} {codec}.tif").write_bytes(data[: int(0.8 * len(data))])
    subprocess.run([sys.executable, "-c", WITHOUT_CODECS, tmp_path], check=True)
    for path in tmp_path.glob("*.npz"):
        found = np.load(path)
        known = found["weight"] == 1
        assert 0.5 < known.mean() < 0.95
        np.testing.assert_allclose(found["pixels"][known], (SMOOTH / 255)[known], atol=1e-6)
