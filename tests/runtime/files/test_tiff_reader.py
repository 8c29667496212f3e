"""TIFF as microscopes, scanners and retouchers write it."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from odd_files import PIXELS, dng, random_samples, saved, tiff, with_tag
from PIL import Image

from dem_jax.runtime.files import headers, images

WIDE = PIXELS.astype(np.uint16) * 257


def read(tmp_path, data):
    (tmp_path / "x.tif").write_bytes(data)
    return images.read_photo(tmp_path / "x.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_channels_on_pages_of_their_own_are_colour(tmp_path, kind, dtype):
    samples = PIXELS if dtype == np.uint8 else WIDE
    planes = np.moveaxis(samples, -1, 0)
    data = tiff(planes, **{kind: True}, metadata={"axes": "CYX"}, photometric="minisblack")
    photo = read(tmp_path, data)
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)
    assert photo.bit_depth == 8 * np.dtype(dtype).itemsize


def test_of_a_stack_the_first_picture_is_used_and_said(tmp_path):
    planes = np.stack([np.moveaxis(WIDE, -1, 0)] * 4) // np.array([1, 2, 3, 4])[:, None, None, None]
    data = tiff(planes.astype(np.uint16), imagej=True, metadata={"axes": "ZCYX"})
    photo = read(tmp_path, data)
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)
    assert "first of 4" in photo.notes[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_premultiplied_alpha_is_undone(tmp_path, dtype):
    peak = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    alpha = np.linspace(0, peak, 64).astype(dtype)[None, :, None].repeat(48, axis=0)
    straight = (PIXELS / 255 * peak).astype(dtype)
    multiplied = (straight * (alpha / peak)).round(0 if peak > 1 else 6).astype(dtype)
    samples = np.concatenate([multiplied, alpha], axis=-1)
    photo = read(tmp_path, tiff(samples, photometric="rgb", extrasamples=["assocalpha"]))
    solid = alpha[..., 0] > 0.5 * peak
    off = np.abs(photo.pixels * peak - straight)[solid]
    assert off.max() <= (1.01 if peak > 1 else 1e-4)
    np.testing.assert_array_equal(photo.alpha, alpha[..., 0])


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits"])
def test_brightness_and_colour_apart_are_read(tmp_path, compression):
    """What Pillow writes of YCbCr uncompressed it does not read itself."""
    apart = Image.fromarray(PIXELS).convert("YCbCr")
    buffer = io.BytesIO()
    apart.save(buffer, "TIFF", compression=compression)
    photo = read(tmp_path, buffer.getvalue())
    assert photo.notes == ()
    np.testing.assert_allclose(photo.pixels * 255, np.asarray(apart.convert("RGB")), atol=2)


@pytest.mark.parametrize("photometric", [0, 1])
def test_three_channels_are_colour_whatever_they_are_called(tmp_path, photometric):
    """What says that white is 0 is said of grey; without the tag it is assumed."""
    data = with_tag(tiff(WIDE, photometric="rgb"), 262, at=8, value=photometric)
    photo = read(tmp_path, data)
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_extra_channel_that_is_no_alpha_is_left_out(tmp_path, dtype):
    samples = np.concatenate([WIDE, WIDE[..., :1] // 2], axis=-1)
    samples = samples if dtype == np.uint16 else (samples // 257).astype(dtype)
    photo = read(tmp_path, tiff(samples, photometric="rgb", extrasamples=["unspecified"]))
    assert photo.alpha is None
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)
    assert any("neither colour nor alpha" in note for note in photo.notes)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_five_channels_are_called_so(tmp_path, dtype):
    data = tiff(np.zeros((16, 16, 5), dtype), photometric="minisblack", planarconfig="contig")
    with pytest.raises(images.PhotoError, match="has 5 channels"):
        read(tmp_path, data)


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize(("colour", "dtype"), [(99, np.uint8), (99, np.uint16), (5, np.uint16)])
def test_colours_that_cannot_be_read_are_called_by_number(tmp_path, colour, dtype, compression):
    data = tiff(PIXELS.astype(dtype), photometric="rgb", compression=compression)
    said = rf"PhotometricInterpretation {colour}, {8 * np.dtype(dtype).itemsize} bits\); grey"
    with pytest.raises(images.PhotoError, match=said):
        read(tmp_path, with_tag(data, 262, at=8, value=colour))


def packed12(samples):
    """Grey TIFF of two 12-bit samples in three bytes."""
    a, b = samples[:, ::2].astype(int), samples[:, 1::2].astype(int)
    body = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], axis=-1).astype(np.uint8).tobytes()
    height, width = samples.shape
    entries = [(256, 3, width), (257, 3, height), (258, 3, 12), (259, 3, 1), (262, 3, 1)]
    entries += [(273, 4, 8), (277, 3, 1), (278, 3, height), (279, 4, len(body))]
    table = b"".join(
        tag.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + (1).to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, kind, value in entries
    )
    start = (8 + len(body)).to_bytes(4, "little")
    return b"II*\0" + start + body + len(entries).to_bytes(2, "little") + table + bytes(4)


def test_12_bit_packed_pixels_are_read(tmp_path):
    pytest.importorskip("imagecodecs")
    samples = PIXELS[..., 0].astype(np.uint16) * 16
    photo = read(tmp_path, packed12(samples))
    assert photo.bit_depth == 16
    np.testing.assert_allclose(photo.pixels[..., 0], samples / 4095, atol=1e-5)
    assert "12 bits" in photo.notes[0]


def packed_colours(samples, bits):
    """RGB TIFF of samples of fewer bits than a byte has; rows begin with a byte."""
    each = np.unpackbits(samples[..., None], axis=-1)[..., -bits:]
    body = np.packbits(each.reshape(len(samples), -1), axis=1)
    data = tiff(body, photometric="minisblack", metadata=None)
    three = with_tag(with_tag(data, 256, at=8, value=samples.shape[1]), 262, at=8, value=2)
    return with_tag(with_tag(three, 277, at=8, value=3), 258, at=8, value=bits)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_colours_of_fewer_bits_than_a_byte_has_are_read(tmp_path, bits):
    pytest.importorskip("imagecodecs")
    samples = PIXELS >> (8 - bits)
    photo = read(tmp_path, packed_colours(samples, bits))
    assert photo.notes == (f"its {bits} bits a channel are written as 8",)
    assert photo.bit_depth == 8
    np.testing.assert_allclose(photo.pixels, samples / (2**bits - 1), atol=1e-6)


def test_12_bit_packed_pixels_without_the_extra_are_called_so(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    with pytest.raises(images.PhotoError, match=r"12-bit packed pixels.*dem_jax\[codecs\]"):
        read(tmp_path, packed12(PIXELS[..., 0].astype(np.uint16)))


def test_the_thumbnail_of_a_dng_is_not_its_photo(tmp_path):
    data = dng(WIDE, PIXELS[:12, :16])
    photo = read(tmp_path, data)
    assert photo.bit_depth == 16
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)
    assert headers.shape_of(tmp_path / "x.tif") == PIXELS.shape


@pytest.mark.parametrize("tag", [(254, 4, 1), (255, 3, 2)], ids=["new", "old"])
@pytest.mark.parametrize("thumbnails", [1, 2])
def test_the_first_page_that_is_no_thumbnail_is_the_photo(tmp_path, thumbnails, tag):
    number, kind, value = tag
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for _ in range(thumbnails):
            small = PIXELS[::4, ::4]
            writer.write(small, photometric="rgb", metadata=None, subfiletype=1)
        writer.write(PIXELS, photometric="rgb", metadata=None)
    data = buffer.getvalue()
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        places = [page.tags[254].offset for page in file.pages[:thumbnails]]
    for place in places:
        entry = struct.pack("<HHII", number, kind, 1, value)
        data = data[:place] + entry + data[place + len(entry) :]
    photo = read(tmp_path, data)
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)
    count = thumbnails + 1
    assert photo.notes == (f"only page {count} of {count} is used, before which are thumbnails",)
    assert headers.shape_of(tmp_path / "x.tif") == PIXELS.shape


def test_several_pages_are_said(tmp_path):
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for _ in range(3):
            writer.write(WIDE, photometric="rgb", metadata=None)
    assert read(tmp_path, buffer.getvalue()).notes == ("only the first of 3 pages is used",)


def test_palettes_and_one_bit_are_read(tmp_path):
    for image in (Image.fromarray(PIXELS).quantize(16), Image.fromarray(PIXELS).convert("1")):
        buffer = io.BytesIO()
        image.save(buffer, "TIFF")
        photo = read(tmp_path, buffer.getvalue())
        expected = np.asarray(image.convert("RGB"))[..., : photo.pixels.shape[-1]]
        np.testing.assert_array_equal(np.rint(photo.pixels * 255), expected)


def changed(data, tag, values):
    """The file with other numbers in a tag of its first page."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        found = file.pages.first.tags[tag]
        numbers = np.array(
            values(np.atleast_1d(found.value).tolist()), {3: "<u2", 4: "<u4"}[int(found.dtype)]
        )
    end = found.valueoffset + numbers.nbytes
    return data[: found.valueoffset] + numbers.tobytes() + data[end:]


PLACES, LENGTHS = {"strips": 273, "tiles": 324}, {"strips": 279, "tiles": 325}


LAYOUTS = {"strips": {"rowsperstrip": 16}, "tiles": {"tile": (16, 32)}}


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_strips_and_tiles_that_are_not_in_the_file_are_no_black(
    tmp_path, dtype, layout, compression
):
    samples = (PIXELS / 255).astype(dtype) if dtype == np.float32 else PIXELS.astype(dtype)
    data = tiff(samples, photometric="rgb", compression=compression, **LAYOUTS[layout])
    assert read(tmp_path, data).pixels.any()
    for tag in (PLACES[layout], LENGTHS[layout]):
        with pytest.raises(images.PhotoError, match="incomplete: 100% of it is missing"):
            read(tmp_path, changed(data, tag, lambda all_: [0] * len(all_)))
        share = "33%" if layout == "strips" else "17%"
        with pytest.raises(images.PhotoError, match=f"incomplete: {share} of it is missing"):
            read(tmp_path, changed(data, tag, lambda all_: [0, *all_[1:]]))


APART = {"pixels": {"planarconfig": "contig"}, "planes": {"planarconfig": "separate"}}


@pytest.mark.parametrize("planes", APART)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_of_a_picture_whose_end_is_missing_the_rest_is_used(tmp_path, dtype, layout, planes):
    samples = (PIXELS / 255).astype(dtype) if dtype == np.float32 else PIXELS.astype(dtype)
    stored = np.moveaxis(samples, -1, 0) if planes == "planes" else samples
    data = tiff(stored, photometric="rgb", metadata=None, **LAYOUTS[layout], **APART[planes])
    whole = read(tmp_path, data)
    assert whole.notes == ()
    photo = read(tmp_path, data[: -PIXELS.nbytes // 10])
    (note,) = photo.notes
    assert note.startswith("the end of the file is missing, and ")
    assert 0.02 < 1 - photo.weight.mean() < 0.4
    known = photo.weight == 1
    np.testing.assert_array_equal(photo.pixels[known], whole.pixels[known])
    with pytest.raises(images.PhotoError, match="% of it is missing"):
        read(tmp_path, data[: len(data) // 3])


def test_a_palettes_missing_end_is_missing(tmp_path):
    data = saved("TIFF", Image.fromarray(PIXELS).quantize(16))
    photo = read(tmp_path, data[:-200])
    assert any("the end of the file is missing" in note for note in photo.notes)
    assert 200 <= (photo.weight == 0).sum() <= 264


def test_a_stack_whose_last_plane_is_short_is_not_filled_with_something_else(tmp_path):
    planes = np.moveaxis(WIDE, -1, 0)
    data = tiff(planes, imagej=True, metadata={"axes": "CYX"}, photometric="minisblack")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        last = file.series[0].pages[0].dataoffsets[0] + planes.nbytes
    assert last <= len(data)
    with pytest.raises(images.PhotoError, match="damaged or incomplete"):
        read(tmp_path, data[: last - 100])


def test_a_picture_in_one_piece_needs_no_length(tmp_path):
    data = tiff(WIDE, photometric="rgb")
    photo = read(tmp_path, changed(data, LENGTHS["strips"], lambda _: [0]))
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)


def test_a_plane_of_a_stack_that_is_not_in_the_file_is_no_black(tmp_path):
    planes = np.moveaxis(WIDE, -1, 0)
    data = tiff(planes, ome=True, metadata={"axes": "CYX"}, photometric="minisblack")
    with pytest.raises(images.PhotoError, match="33% of it is missing"):
        read(tmp_path, changed(data, PLACES["strips"], lambda _: [0]))


def test_compressions_that_pillow_lacks_are_read_with_8_bits_too(tmp_path):
    pytest.importorskip("imagecodecs")
    data = tiff(PIXELS, photometric="rgb", compression="webp", compressionargs={"level": 101})
    np.testing.assert_allclose(read(tmp_path, data).pixels, PIXELS / 255, atol=1e-6)


def test_tiles_of_billions_of_pixels_are_no_lack_of_memory(tmp_path):
    data = tiff(WIDE, photometric="rgb", tile=(16, 32), compression="zlib")
    side = 65520
    with pytest.raises(images.PhotoError, match="million pixels"):
        read(tmp_path, changed(changed(data, 323, lambda _: [side]), 322, lambda _: [side]))


@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_a_stack_whose_end_is_missing_does_not_turn_grey_without_a_word(tmp_path, kind):
    planes = np.moveaxis(WIDE, -1, 0)
    data = tiff(planes, **{kind: True}, metadata={"axes": "CYX"}, photometric="minisblack")
    assert read(tmp_path, data).notes == ()
    photo = read(tmp_path, data[: int(0.8 * len(data))])
    assert photo.pixels.shape[-1] == 1
    assert any("whether the picture is whole" in note for note in photo.notes)


WITHOUT_CODECS = {
    "lzw": (PIXELS, {"compression": "lzw"}, ""),
    "lzw planes": (PIXELS, {"compression": "lzw", "planarconfig": "separate"}, ""),
    "wide lzw": (WIDE, {"compression": "lzw"}, ""),
    "wide lzw planes": (WIDE, {"compression": "lzw", "planarconfig": "separate"}, "by LZW"),
    "zstd": (PIXELS, {"compression": "zstd"}, ""),
    "png": (PIXELS, {"compression": "png"}, "by PNG"),
    "wide png": (WIDE, {"compression": "png"}, "by PNG"),
    "jpeg2000": (PIXELS, {"compression": "jpeg2000"}, "by JPEG2000"),
    "stack": (WIDE, {"compression": "lzw", "ome": True, "metadata": {"axes": "CYX"}}, "by LZW"),
}


READ_WITHOUT_CODECS = """
import pathlib, sys
sys.modules["imagecodecs"] = None
import numpy as np
from dem_jax.runtime.files import images
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.tif")):
    try:
        np.save(path.with_suffix(".npy"), images.read_photo(path).pixels)
    except images.PhotoError as error:
        path.with_suffix(".txt").write_text(str(error))
"""


def test_without_the_extra_pixels_are_right_or_the_extra_is_named(tmp_path):
    """OpenCV takes what it cannot decompress for black, and makes noise of planes."""
    pytest.importorskip("imagecodecs")
    for name, (samples, options, _) in WITHOUT_CODECS.items():
        if "ome" in options or "planarconfig" in options:
            samples = np.moveaxis(samples, -1, 0)
        kind = {"photometric": "minisblack" if "ome" in options else "rgb"}
        (tmp_path / f"{name}.tif").write_bytes(tiff(samples, **kind, **options))
    subprocess.run([sys.executable, "-c", READ_WITHOUT_CODECS, tmp_path], check=True)
    for name, (*_, needed) in WITHOUT_CODECS.items():
        if needed:
            said = (tmp_path / f"{name}.txt").read_text()
            assert f"compressed {needed}, which needs the extra 'codecs'" in said
        else:
            pixels = np.load(tmp_path / f"{name}.npy")
            np.testing.assert_allclose(pixels, PIXELS / 255, atol=1e-6)


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
