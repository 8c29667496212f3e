"""Directories are in order whatever numbers are written in, and hold what is used."""

import io

import numpy as np
import pytest
import tifffile
from odd_files import PIXELS, SRGB, saved, tiff, with_tag
from PIL import Image

from dem_jax.runtime.files import images, tiff_repair
from dem_jax.runtime.files.photo import DOUBT, Damaged

FORMS = {
    "II": {"byteorder": "<"},
    "MM": {"byteorder": ">"},
    "big II": {"byteorder": "<", "bigtiff": True},
    "big MM": {"byteorder": ">", "bigtiff": True},
}


WIDE = PIXELS.astype(np.uint16) * 257
FAR = 0x7FFFFF00  # behind the file's end
ODD_TAGS = {
    "no orientation": (274, 8, 0),
    "an orientation that is none": (274, 8, 99),
    "a unit that is none": (296, 8, 77),
    "a private type": (50900, 2, 77),
    "a private value that is not there": (50900, 8, FAR),
    "a program that is not there": (305, 8, FAR),
    "a resolution that is not there": (282, 8, FAR),
}


def opened(data):
    return tifffile.TiffFile(io.BytesIO(data))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layout", [{"rowsperstrip": 16}, {"tile": (16, 32)}])
def test_a_sound_picture_stays_what_it_is(form, layout):
    own = [(50900, "s", 0, "somebody's", True), (34675, "B", len(SRGB), SRGB, True)]
    data = tiff(
        PIXELS, photometric="rgb", extratags=own, resolution=(300, 150), **FORMS[form], **layout
    )
    whole = tiff_repair.repaired(data)
    assert whole.notes == []
    assert whole.sound
    with opened(data) as before, opened(whole.data) as after:
        tags = {tag.code: tag.value for tag in before.pages.first.tags if tag.code != 50900}
        assert {tag.code: tag.value for tag in after.pages.first.tags} == tags
        np.testing.assert_array_equal(after.pages.first.asarray(), PIXELS)


def test_further_pages_stay_unless_one_is_wanted_alone():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for shift in range(3):
            writer.write(PIXELS + np.uint8(shift), photometric="rgb", metadata=None)
    data = buffer.getvalue()
    with opened(tiff_repair.repaired(data).data) as file:
        assert len(file.pages) == 3
        second = file.pages[1].offset
    with opened(tiff_repair.repaired(data, second).data) as file:
        assert len(file.pages) == 1
        np.testing.assert_array_equal(file.asarray(), PIXELS + np.uint8(1))


def test_places_are_the_lengths_of_what_lies_between():
    data = tiff(PIXELS, photometric="rgb", compression="lzw", rowsperstrip=16)
    with opened(tiff_repair.repaired(with_tag(data, 279, at=0, value=280)).data) as file:
        page = file.pages.first
        ends = np.add(page.dataoffsets, page.databytecounts)
        assert ends.tolist() == [*page.dataoffsets[1:], len(data)]


@pytest.mark.parametrize("bits", [0, 99])
def test_bits_that_no_number_has_are_not_sound(bits):
    data = tiff(PIXELS[..., 0], photometric="minisblack")
    assert not tiff_repair.repaired(with_tag(data, 258, at=8, value=bits)).sound


@pytest.mark.parametrize("compression", ["raw", "group3", "group4", "packbits"])
def test_one_bit_need_not_be_said(compression):
    data = saved("TIFF", PIXELS[..., 0] > 127, compression=compression)
    whole = tiff_repair.repaired(with_tag(data, 258, at=0, value=60258))
    assert whole.sound


def test_a_profile_that_is_not_there_is_told():
    data = tiff(PIXELS, photometric="rgb", extratags=[(34675, "B", len(SRGB), SRGB, True)])
    whole = tiff_repair.repaired(with_tag(data, 34675, at=8, value=0x7FFFFF00))
    assert whole.sound
    assert whole.notes == ["its colour profile is odd or damaged, and was left out"]


@pytest.mark.parametrize("place", [0, 10**6, 2**32 - 1])
def test_a_directory_that_is_not_there_is_a_wrong_header(place):
    data = saved("TIFF")[:4] + place.to_bytes(4, "little") + bytes(range(200, 256)) * 4
    with pytest.raises(Damaged, match="its header is wrong"):
        tiff_repair.repaired(data)


def read(tmp_path, data):
    (tmp_path / "x.tif").write_bytes(data)
    return images.read_photo(tmp_path / "x.tif")


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("samples", [PIXELS, WIDE], ids=["8", "16"])
@pytest.mark.parametrize("case", ODD_TAGS)
def test_odd_tags_beside_the_pixels_are_no_damage(tmp_path, case, samples, compression):
    tag, at, value = ODD_TAGS[case]
    own = [(274, "H", 1, 1, True), (50900, "s", 0, "somebody's", True)]
    data = tiff(samples, photometric="rgb", compression=compression, extratags=own)
    photo = read(tmp_path, with_tag(data, tag, at=at, value=value))
    assert photo.notes == ()
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("case", ODD_TAGS)
def test_odd_tags_beside_a_palette_are_no_damage(tmp_path, case, compression):
    tag, at, value = ODD_TAGS[case]
    own = [(274, "H", 1, 1, True), (50900, "s", 0, "somebody's", True)]
    grey = np.arange(256, dtype=np.uint16) * 257
    options = {"photometric": "palette", "colormap": np.stack([grey] * 3)}
    data = tiff(PIXELS[..., 0], compression=compression, extratags=own, **options)
    photo = read(tmp_path, with_tag(data, tag, at=at, value=value))
    assert photo.notes == ()
    np.testing.assert_allclose(photo.pixels[..., :1], PIXELS[..., :1] / 255, atol=1e-6)


def test_an_odd_tag_of_the_pixels_is_told(tmp_path):
    data = tiff(WIDE, photometric="rgb", extratags=[(34675, "B", 4, b"none", True)])
    (note,) = read(tmp_path, with_tag(data, 34675, at=2, value=77)).notes
    assert "odd or damaged" in note


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("samples", [PIXELS, WIDE], ids=["8", "16"])
def test_missing_byte_counts_of_a_whole_picture_are_no_damage(tmp_path, samples, compression):
    """Old programs did not write them; an unknown tag stands in their place."""
    data = tiff(samples, photometric="rgb", compression=compression)
    photo = read(tmp_path, with_tag(data, 279, at=0, value=280))
    assert photo.notes == ()
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("samples", [PIXELS, WIDE], ids=["8", "16"])
def test_missing_byte_counts_of_strips_are_no_damage(tmp_path, samples, compression):
    data = tiff(samples, photometric="rgb", compression=compression, rowsperstrip=16)
    photo = read(tmp_path, with_tag(data, 279, at=0, value=280))
    assert photo.notes == ()
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)


MISSING = {
    "channels": (277, 0, 60277, "how many channels"),
    "channels of no type": (277, 2, 77, "how many channels"),
    "no channel": (277, 8, 0, "how many channels"),
    "colour": (262, 0, 60262, "what its values mean"),
    "colour of no type": (262, 2, 77, "what its values mean"),
    "planes that are none": (284, 8, 99, "how its channels lie"),
}


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("samples", [PIXELS, WIDE], ids=["8", "16"])
@pytest.mark.parametrize("case", MISSING)
def test_what_the_rest_of_the_header_tells_is_no_damage(tmp_path, case, samples, compression):
    tag, at, value, words = MISSING[case]
    planes = [(284, "H", 1, 1, True)]
    data = tiff(samples, photometric="rgb", compression=compression, extratags=planes)
    photo = read(tmp_path, with_tag(data, tag, at=at, value=value))
    (note,) = photo.notes
    assert words in note
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)


@pytest.mark.parametrize("samples", [PIXELS, WIDE], ids=["8", "16"])
@pytest.mark.parametrize(("at", "value"), [(0, 60277), (8, 0)], ids=["no number", "zero"])
def test_one_channel_is_the_default_and_needs_no_word(tmp_path, samples, at, value):
    data = tiff(samples[..., 0], photometric="minisblack")
    photo = read(tmp_path, with_tag(data, 277, at=at, value=value))
    assert photo.notes == ()
    np.testing.assert_allclose(photo.pixels, PIXELS[..., :1] / 255, atol=1e-6)


@pytest.mark.parametrize("samples", [PIXELS, WIDE], ids=["8", "16"])
@pytest.mark.parametrize("tag", [256, 257, 258, 259])
def test_what_nothing_else_tells_is_a_wrong_header(tmp_path, tag, samples):
    """Compression by its absence is none, which the number of bytes denies."""
    data = tiff(samples, photometric="rgb", compression="lzw")
    with pytest.raises(images.PhotoError, match="its header is wrong"):
        read(tmp_path, with_tag(data, tag, at=2, value=77))


@pytest.mark.parametrize("tag", [256, 257, 259, 262, 277])
@pytest.mark.parametrize("count", [0, 9])
def test_one_number_is_one_whatever_its_count_says(tmp_path, tag, count):
    photo = read(tmp_path, with_tag(tiff(PIXELS, photometric="rgb"), tag, at=4, value=count))
    assert photo.notes == ()
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("tag", [(2, 7, "upright"), (1, 2, b"\6\6"), (3, 1, 9), (3, 1, 0)])
def test_an_orientation_that_is_none_turns_nothing(tmp_path, dtype, tag):
    samples = PIXELS.astype(dtype) * (1 if dtype == np.uint8 else 257)
    photo = read(tmp_path, tiff(samples, photometric="rgb", extratags=[(274, *tag, True)]))
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)


def test_several_orientations_are_none(tmp_path):
    photo = read(tmp_path, tiff(WIDE, photometric="rgb", extratags=[(274, 3, 2, (6, 6), True)]))
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("samples", [PIXELS, WIDE], ids=["8", "16"])
@pytest.mark.parametrize("tag", [258, 273, 279])
def test_more_numbers_than_there_are_strips_or_channels_do_no_harm(
    tmp_path, tag, samples, compression
):
    data = tiff(samples, photometric="rgb", compression=compression, rowsperstrip=16)
    photo = read(tmp_path, with_tag(data, tag, at=4, value=9))
    assert photo.notes == ()
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("samples", [PIXELS, PIXELS[..., 0] > 127], ids=["8", "1"])
def test_a_strip_longer_than_the_file_does_no_harm(tmp_path, samples, compression):
    data = saved("TIFF", samples, compression=compression)
    photo = read(tmp_path, with_tag(data, 279, at=8, value=50_000))
    assert photo.notes == (() if compression is None else (DOUBT,))
    assert photo.weight is None
    np.testing.assert_array_equal(photo.pixels, read(tmp_path, data).pixels)


def test_a_picture_that_is_nowhere_is_a_wrong_header():
    data = tiff(PIXELS, photometric="rgb")
    assert not tiff_repair.repaired(with_tag(data, 273, at=2, value=77)).sound


def test_what_no_memory_holds_is_not_filled():
    """A header of a thousand million rows in one strip of gigabytes."""
    data = tiff(PIXELS, photometric="rgb", bigtiff=True, metadata=None)
    with opened(data) as file:
        tags = file.pages.first.tags
        for tag, value in ((257, 2**30), (278, 2**30), (279, 2**37)):
            at, size = tags[tag].valueoffset, 8 if tag == 279 else 4
            data = data[:at] + value.to_bytes(size, "little") + data[at + size :]
    whole = tiff_repair.repaired(data)
    assert whole.lacking > 0.5
    assert len(whole.data) < 3 * len(data)


def with_bits_last(byteorder, compression):
    """A file whose directory, and then the bits of each channel, lie behind the pixels."""
    data = tiff(PIXELS, photometric="rgb", byteorder=byteorder, compression=compression)
    whole = tiff_repair.ordered(data, None).directory
    far = [tag for tag, entry in whole.entries.items() if len(entry.values) > 4]
    whole.drop(*set(far) - {258})
    return tiff_repair.written(data, whole, alone=True)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("lacking", [1, 2, 3, 4])
def test_bits_that_the_end_of_the_file_cuts_are_those_of_the_first(
    tmp_path, compression, byteorder, lacking
):
    data = with_bits_last(byteorder, compression)
    assert read(tmp_path, data).notes == ()
    (note,) = (photo := read(tmp_path, data[:-lacking])).notes
    assert note.startswith("the end of its header is missing")
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)


def test_a_palette_whose_last_number_is_cut_is_used(tmp_path):
    palette = Image.fromarray(PIXELS).convert("P")
    data = saved("TIFF", palette, compression="tiff_lzw")
    photo = read(tmp_path, data[:-1])
    assert photo.notes[0].startswith("the end of its header is missing")
    np.testing.assert_array_equal(
        photo.pixels, np.asarray(palette.convert("RGB")) / np.float32(255)
    )


def test_a_directory_that_is_cut_is_a_wrong_header(tmp_path):
    with pytest.raises(images.PhotoError, match="its header is wrong"):
        read(tmp_path, saved("TIFF", compression="tiff_lzw")[:-20])
