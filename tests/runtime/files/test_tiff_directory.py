"""Directories are in order whatever numbers are written in, and hold what is used."""

import io

import numpy as np
import pytest
import tifffile
from odd_files import PIXELS, SRGB, saved, tiff, with_tag

from dem_jax.runtime.files import tiff_directory
from dem_jax.runtime.files.photo import Damaged

FORMS = {
    "II": {"byteorder": "<"},
    "MM": {"byteorder": ">"},
    "big II": {"byteorder": "<", "bigtiff": True},
    "big MM": {"byteorder": ">", "bigtiff": True},
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
    whole = tiff_directory.repaired(data)
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
    with opened(tiff_directory.repaired(data).data) as file:
        assert len(file.pages) == 3
        second = file.pages[1].offset
    with opened(tiff_directory.repaired(data, second).data) as file:
        assert len(file.pages) == 1
        np.testing.assert_array_equal(file.asarray(), PIXELS + np.uint8(1))


def test_places_are_the_lengths_of_what_lies_between():
    data = tiff(PIXELS, photometric="rgb", compression="lzw", rowsperstrip=16)
    with opened(tiff_directory.repaired(with_tag(data, 279, at=0, value=280)).data) as file:
        page = file.pages.first
        ends = np.add(page.dataoffsets, page.databytecounts)
        assert ends.tolist() == [*page.dataoffsets[1:], len(data)]


@pytest.mark.parametrize("bits", [0, 99])
def test_bits_that_no_number_has_are_not_sound(bits):
    data = tiff(PIXELS[..., 0], photometric="minisblack")
    assert not tiff_directory.repaired(with_tag(data, 258, at=8, value=bits)).sound


@pytest.mark.parametrize("compression", ["raw", "group3", "group4", "packbits"])
def test_one_bit_need_not_be_said(compression):
    data = saved("TIFF", PIXELS[..., 0] > 127, compression=compression)
    whole = tiff_directory.repaired(with_tag(data, 258, at=0, value=60258))
    assert whole.sound


def test_a_profile_that_is_not_there_is_told():
    data = tiff(PIXELS, photometric="rgb", extratags=[(34675, "B", len(SRGB), SRGB, True)])
    whole = tiff_directory.repaired(with_tag(data, 34675, at=8, value=0x7FFFFF00))
    assert whole.sound
    assert whole.notes == ["its colour profile is odd or damaged, and was left out"]


@pytest.mark.parametrize("place", [0, 10**6, 2**32 - 1])
def test_a_directory_that_is_not_there_is_a_wrong_header(place):
    data = saved("TIFF")[:4] + place.to_bytes(4, "little") + bytes(range(200, 256)) * 4
    with pytest.raises(Damaged, match="its header is wrong"):
        tiff_directory.repaired(data)
