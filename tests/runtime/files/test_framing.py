"""Borders, transparent and missing pixels stay as they are; what lies inside is deblurred."""

import io

import numpy as np
import pytest
from fake_solver import FAKE, make_options
from odd_files import PIXELS, saved

from dem_jax.runtime import driver, progress
from dem_jax.runtime.files import completion, framing, images, inputs
from dem_jax.runtime.scale import plan

SCENE = np.random.default_rng(1).random((60, 80, 3)).astype(np.float32)


def barred(top=0, bottom=0, left=0, right=0, colour=0.0, scene=SCENE):
    widths = ((top, bottom), (left, right), (0, 0))
    return images.Photo(np.pad(scene, widths, constant_values=colour))


@pytest.mark.parametrize(
    "bars",
    [
        {"top": 12, "bottom": 12},
        {"left": 20, "right": 9},
        {"top": 7, "bottom": 11, "left": 5, "right": 3, "colour": 1.0},
        {"top": 4, "colour": 0.3},
    ],
)
def test_bars_are_cut_off_and_put_back(bars):
    photo = barred(**bars)
    framed = framing.frame(photo)
    np.testing.assert_array_equal(framed.pixels, SCENE)
    assert "only 80x60 pixels of it are deblurred" in framed.notes[-1]
    whole = completion.complete(1 - framed.pixels, framed)
    expected = barred(**bars, scene=1 - SCENE).pixels
    np.testing.assert_allclose(whole, expected, atol=1e-6)
    assert framed.shape == photo.pixels.shape


def test_bars_that_a_jpeg_has_smeared_are_found(tmp_path):
    photo = barred(top=16, bottom=16)
    samples = np.rint(photo.pixels * 255).astype(np.uint8)
    (tmp_path / "x.jpg").write_bytes(saved("JPEG", samples, quality=80))
    framed = framing.frame(images.read_photo(tmp_path / "x.jpg"))
    assert abs(framed.pixels.shape[0] - 60) <= 2


def fading():
    """A dark scene whose light begins gradually, as blur makes it."""
    photo = barred(top=12, bottom=12).pixels
    kernel = np.ones(9) / 9
    blurred = np.apply_along_axis(lambda x: np.convolve(x, kernel, "same"), 0, photo)
    return images.Photo(blurred.astype(np.float32))


NO_BORDERS = {
    "a scene": images.Photo(SCENE),
    "a scene that fades": fading(),
    "one colour": images.Photo(np.full((60, 80, 3), 0.2, np.float32)),
    "almost only border": barred(top=200, bottom=200),
    "a single line": barred(top=1),
    "two flat halves": barred(right=40, scene=np.full((60, 40, 3), 0.8, np.float32)),
    "four flat quarters": barred(40, 0, 0, 40, scene=np.full((40, 40, 3), 0.8, np.float32)),
}


@pytest.mark.parametrize("case", NO_BORDERS)
def test_what_is_no_border_stays(case):
    photo = NO_BORDERS[case]
    assert framing.frame(photo).pixels.shape == photo.pixels.shape


def test_only_the_rows_at_the_border_are_read():
    """Pictures have millions of pixels, and of most only the outermost rows are needed."""
    read = []

    class Watched(np.ndarray):
        def __sub__(self, other):
            read.append(self.size)
            return np.subtract(np.asarray(self), other)

    scene = np.random.default_rng(2).random((3_000, 400, 3), dtype=np.float32)
    pixels = np.pad(scene, ((50, 70), (0, 0), (0, 0))).view(Watched)
    framed = framing.frame(images.Photo(pixels), every_pixel=True)
    np.testing.assert_array_equal(np.asarray(framed.pixels), scene)
    assert 0 < sum(read) < 0.3 * pixels.size


def test_transparent_pixels_weigh_nothing_and_leave_no_edge():
    rows, cols = np.mgrid[:60, :80]
    disc = (rows - 30) ** 2 + (cols - 40) ** 2 < 25**2
    smooth = np.stack([rows / 60, cols / 80, (rows + cols) / 140], axis=-1).astype(np.float32)
    alpha = np.where(disc, 255, 0).astype(np.uint8)
    photo = images.Photo(smooth * disc[..., None], alpha)
    framed = framing.frame(photo)
    assert framed.pixels.shape == (49, 49, 3)  # the disc's own square
    known = framed.weight > 0
    np.testing.assert_array_equal(known, disc[6:55, 16:65])
    assert np.abs(np.diff(framed.pixels, axis=0)).max() < 0.05
    whole = completion.complete(np.ones_like(framed.pixels), framed)
    np.testing.assert_array_equal(whole, np.repeat(disc[..., None], 3, axis=-1))
    spread = completion.complete_spread(np.ones_like(framed.pixels), framed)
    np.testing.assert_array_equal(spread, whole)


def test_alpha_between_counts_by_its_amount():
    alpha = np.full((60, 80), 65535, np.uint16)
    alpha[:, 40:] = 45000
    alpha[0, 0] = 0
    alpha[:, 60:] = 20000
    scene = SCENE.copy()
    scene[30:, 60:] = 0  # colour that an editor has removed
    weight = framing.frame(images.Photo(scene, alpha, 16)).weight
    np.testing.assert_allclose(
        weight[5, [10, 50, 70]], [1, 45000 / 65535, 20000 / 65535], rtol=1e-5
    )
    assert not weight[30:, 60:].any()


@pytest.mark.parametrize("alpha", [0, 3])
def test_a_picture_that_cannot_be_seen_is_said_to_stay_so(alpha):
    photo = images.Photo(SCENE, np.full((60, 80), alpha, np.uint8))
    assert framing.frame(photo).notes == ("it is wholly transparent, and so will the result be",)
    photo.alpha[0, 0] = 255
    assert not any("wholly" in note for note in framing.frame(photo, every_pixel=True).notes)


def test_alpha_of_nothing_is_a_mistake_and_all_is_used():
    framed = framing.frame(images.Photo(SCENE, np.zeros((60, 80), np.uint8)))
    assert framed.weight is None
    assert framed.pixels.shape == SCENE.shape


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_fewer_bits_in_16_have_a_white_of_their_own(bits):
    white = (2**bits - 1) / 65535
    photo = images.Photo(SCENE * np.float32(white * 0.95), bit_depth=16)
    framed = framing.frame(photo)
    np.testing.assert_allclose(framed.pixels, SCENE * 0.95, atol=1e-5)
    np.testing.assert_allclose(completion.complete(framed.pixels, framed), photo.pixels, atol=1e-6)
    truth = framing.inside(photo.pixels, framed)  # of the same scale, or of the full one
    np.testing.assert_allclose(truth, framed.pixels, atol=1e-5)
    np.testing.assert_array_equal(framing.inside(SCENE, framed), SCENE)


def test_the_driver_deblurs_what_is_inside(tmp_path):
    """With a solver that gives the negative: it ends where the bars begin."""
    samples = np.rint(barred(top=8, bottom=8).pixels * 255).astype(np.uint8)
    (tmp_path / "film.png").write_bytes(saved("PNG", samples))
    rgba = np.dstack([PIXELS, np.full((48, 64), 255, np.uint8)])
    rgba[:, 40:, 3] = 0
    (tmp_path / "cutout.png").write_bytes(saved("PNG", rgba))
    options = make_options(tmp_path)
    options.output_dir.mkdir()
    sources = inputs.select([str(tmp_path)]).sources
    stream = io.StringIO()
    assert driver.run(options, sources, solver=FAKE, progress=progress.Progress(stream)) == 0
    film = images.read_photo(tmp_path / "out" / "film" / "deblurred.png").pixels * 255
    np.testing.assert_array_equal(np.rint(film[8:-8]), 255 - samples[8:-8])
    assert not film[:8].any()
    assert not film[-8:].any()
    cutout = images.read_photo(tmp_path / "out" / "cutout" / "deblurred.png")
    np.testing.assert_array_equal(np.rint(cutout.pixels[:, 40:] * 255), PIXELS[:, 40:])
    np.testing.assert_array_equal(np.rint(cutout.pixels[:, :40] * 255), 255 - PIXELS[:, :40])
    np.testing.assert_array_equal(cutout.alpha, rgba[..., 3])
    std = np.load(tmp_path / "out" / "film" / "uncertainty.npy")
    assert std.shape == (76, 80, 3)
    assert not std[:8].any()
    assert "only 80x60 pixels" in stream.getvalue()


@pytest.mark.parametrize("padded", [False, True])
def test_photos_with_transparent_pixels_go_side_by_side(tmp_path, padded):
    for number in range(2):
        rgba = np.dstack([np.roll(PIXELS, number, 0), np.full((48, 64), 255, np.uint8)])
        rgba[5, 5:9, 3] = 0
        (tmp_path / f"{number}.png").write_bytes(saved("PNG", rgba))
    options = make_options(tmp_path, batching=plan.Batching(2, padded))
    options.output_dir.mkdir()
    sources = inputs.select([str(tmp_path)]).sources
    quiet = progress.Progress(io.StringIO())
    assert driver.run(options, sources, solver=FAKE, progress=quiet) == 0
    for number in range(2):
        result = images.read_photo(tmp_path / "out" / str(number) / "deblurred.png")
        expected = 255 - np.roll(PIXELS, number, 0).astype(int)
        expected[5, 5:9] = np.roll(PIXELS, number, 0)[5, 5:9]
        np.testing.assert_array_equal(np.rint(result.pixels * 255), expected)


def test_of_a_jpeg_whose_end_is_missing_the_rest_is_used(tmp_path):
    data = saved("JPEG", PIXELS, quality=95, subsampling=0)
    (tmp_path / "whole.jpg").write_bytes(data)
    whole = images.read_photo(tmp_path / "whole.jpg")
    for cut, least in ((1, 1.0), (2, 1.0), (len(data) // 3, 0.5)):
        (tmp_path / "cut.jpg").write_bytes(data[:-cut])
        photo = images.read_photo(tmp_path / "cut.jpg")
        known = np.ones((48, 64), bool) if photo.weight is None else photo.weight > 0
        assert known.mean() >= least
        there = known.copy()
        there[-8:] &= cut < 9  # the last block may be cut in its midst
        off = np.abs(photo.pixels - whole.pixels).max(axis=-1)
        assert np.mean(off[there] < 1e-6) > 0.9
        assert any("end of the file is missing" in note for note in photo.notes)


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 4}])
def test_a_jpeg_that_was_ended_early_is_no_grey_picture(tmp_path, options):
    """A program that repairs the end of a file leaves it without the blocks that were lost."""
    grey = PIXELS.copy()
    grey[30:] = 128
    for samples, kept, lost in ((PIXELS, 0.8, True), (grey, 1.0, False)):
        data = saved("JPEG", samples, quality=95, subsampling=0, **options)
        (tmp_path / "x.jpg").write_bytes(data[: int(kept * len(data)) - 2] + b"\xff\xd9")
        photo = images.read_photo(tmp_path / "x.jpg")
        assert any("end of the file is missing" in note for note in photo.notes) == lost
        assert (photo.weight is not None) == lost
