"""Large photos: tiles that leave no seam, crops that tell the blur, and the whole job."""

import functools
import io
import json

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy import ndimage

from dem_jax.config import DeblurConfig
from dem_jax.em import result as results
from dem_jax.model import blur
from dem_jax.runtime import driver, estimate, progress, sizes
from dem_jax.runtime.files import inputs
from dem_jax.runtime.scale import crops, large, memory, plan, tiles
from dem_jax.solver import Solver
from dem_jax.start.choice import Choice
from dem_jax.types import EMInfo, Problem, Result


def scene(shape, seed=0):
    """A picture with edges: a smooth random field of a few grey levels."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3)
    return (np.digitize(field / field.std(), [-1, -0.3, 0.3, 1]) / 4).astype(np.float32)


def blurred(sharp, kernel, noise=0.002):
    photo = ndimage.convolve(sharp, kernel, mode="reflect")
    noise = noise * np.random.default_rng(1).normal(size=photo.shape)
    return (photo + noise).astype(np.float32)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(100, 130, 64), (64, 64, 64), (300, 65, 70), (97, 50, 128)]
)
def test_tiles_cover_the_photo_and_windows_sum_to_one(height, width, size):
    tiling = tiles.make_tiling(size, 5)
    cut = tiles.cut(height, width, tiling)
    shapes = {tile.window.shape for tile in cut}
    assert shapes == {(min(size, height), min(size, width))}
    photo = np.random.default_rng(0).uniform(size=(height, width, 3)).astype(np.float32)
    picture = tiles.blend(photo, cut, lambda pixels, tile: pixels)
    np.testing.assert_allclose(picture, photo, atol=1e-5)


def test_borders_inside_the_photo_do_not_count():
    """What a tile holds in its margins, next to unknown light, must not be seen."""
    tiling = tiles.make_tiling(64, 7)
    cut = tiles.cut(150, 140, tiling)

    def spoilt(pixels, tile):
        bad = pixels.copy()
        ends = [
            (slice(0, 7), tile.rows.start > 0, 0),
            (slice(-7, None), tile.rows.stop < 150, 0),
            (slice(0, 7), tile.cols.start > 0, 1),
            (slice(-7, None), tile.cols.stop < 140, 1),
        ]
        for part, inner, axis in ends:
            if inner:
                bad[(slice(None),) * axis + (part,)] = 100.0
        return bad

    photo = np.full((150, 140, 1), 0.5, np.float32)
    np.testing.assert_allclose(tiles.blend(photo, cut, spoilt), photo, atol=1e-3)


def test_too_small_a_tile():
    with pytest.raises(
        ValueError, match="tile_size=64 is too small for kernel_size=31; give at least"
    ):
        tiles.make_tiling(64, 31)
    for text in ("x", "-5", "1.5"):
        with pytest.raises(ValueError, match="tile_size"):
            tiles.parse_size(text)


def test_tiles_equal_the_whole_away_from_the_photos_border():
    """Tolerance, of a range of 1: 0.003 in the mean, 0.05 for 999 pixels of 1000.

    The prior is not convex: here and there an edge is kept by the one and not by the other.
    """
    kernel = np.random.default_rng(2).dirichlet(np.ones(81) * 0.1).reshape(9, 9).astype(np.float32)
    photo = blurred(scene((200, 220)), kernel)[..., None]
    config = DeblurConfig(kernel_size=9)
    restore = jax.jit(results.restore, static_argnums=3)

    def run(pixels, weight):
        return np.asarray(restore(pixels, kernel[None], weight, config))

    whole = run(photo, 1e-4)
    cut = tiles.cut(200, 220, tiles.make_tiling(128, 9))
    assert len(cut) == 4
    picture = tiles.blend(photo, cut, lambda pixels, tile: run(pixels, 1e-4))
    difference = np.abs(picture - whole)[18:-18, 18:-18]
    assert difference.mean() < 0.003
    assert np.quantile(difference, 0.999) < 0.05
    assert np.abs(whole - photo).max() > 0.1  # the restoration did something


def test_tile_kernel_is_the_filter_flow_at_its_centre():
    kernels = np.random.default_rng(0).dirichlet(np.ones(25), 6).reshape(6, 5, 5).astype(np.float32)
    for tile in tiles.cut(200, 300, tiles.make_tiling(80, 5)):
        kernel = large.tile_kernel(kernels, (2, 3), (200, 300, 1), tile)
        row, col = (tile.rows.start + tile.rows.stop) // 2, (tile.cols.start + tile.cols.stop) // 2
        point = np.zeros((204, 304, 1), np.float32)
        point[row + 2, col + 2] = 1
        seen = np.asarray(blur.filter_flow(jnp.asarray(kernels), jnp.asarray(point), grid=(2, 3)))
        part = seen[max(0, row - 2) : row + 3, max(0, col - 2) : col + 3, 0]
        np.testing.assert_allclose(part, kernel[: part.shape[0], : part.shape[1]], atol=1e-5)


def test_crops_avoid_flat_one_directional_and_saturated_parts():
    photo = np.full((256, 384, 1), 0.4, np.float32)
    texture = 0.2 + 0.6 * scene((64, 64))
    photo[16:80, 16:80, 0] = np.sin(np.arange(64) / 2)[None] * 0.4 + 0.5  # stripes
    photo[150:214, 40:104, 0] = np.where(texture > 0.5, 1.0, texture)  # burnt out
    photo[120:184, 280:344, 0] = texture
    (crop,) = crops.choose(photo, 64, (1, 1))
    assert abs(crop.top - 120) <= 16
    assert abs(crop.left - 280) <= 16
    chosen = crops.choose(photo, 64, (1, 2))
    assert chosen[0].left + 32 < 192 <= chosen[1].left + 32 + 16
    assert all(crop.top + 64 <= 256 and crop.left + 64 <= 384 for crop in chosen)


def test_kernels_are_aligned_to_one_of_them():
    kernel = np.zeros((15, 15), np.float32)
    kernel[5:10, 6:9] = np.random.default_rng(0).uniform(size=(5, 3))
    kernel /= kernel.sum()
    others = [np.roll(kernel, shift, (0, 1)) for shift in ((2, -1), (0, 0), (-3, 4))]
    for found in crops.align(np.stack(others), 1):
        np.testing.assert_array_equal(found, kernel)
    edge = np.roll(kernel, (-5, 0), (0, 1))
    edge[-1, 0] = 0.1  # would fall off the edge
    np.testing.assert_array_equal(crops.align(np.stack([edge, kernel]), 1)[0], edge)


TRUE = np.zeros((9, 9), np.float32)
TRUE[4, 1:8] = 1 / 7


def prepare(key, given, config):
    photo = given.pixels
    margin = config.kernel_size // 2
    latent = jnp.pad(photo, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    weight = jnp.ones(photo.shape[:2])
    kernels, noise_std = jnp.asarray(TRUE)[None], jnp.float32(0.005)
    return Problem(photo, weight, latent, latent, latent, kernels, noise_std, *tiny.sharp_start())


def step(key, state, problem, config):
    value = jnp.mean(state)
    return state + 0.0, EMInfo(value, value, value, value, jnp.bool_(True))


def finish(state, problem, config):
    value = jnp.zeros(())
    info = EMInfo(value, value, value, value, value > 0)
    return Result(problem.photo, problem.start_kernels, problem.photo, info)


KNOWING = Solver(prepare, lambda key, problem, config: problem.start_latent, step, finish)


def run(tmp_path, blur_="uniform", grid=None, *, em_iterations=2, solver=KNOWING, **changes):
    config = DeblurConfig(em_iterations=em_iterations, kernel_size=9)
    (tmp_path / "out").mkdir(exist_ok=True)
    options = driver.Options(
        tmp_path / "out", config, sizes.Sizes(blur_, 9, grid), seed=0, **changes
    )
    stream = io.StringIO()
    sources = inputs.select([str(tmp_path / "a.png")]).sources
    status = driver.run(options, sources, solver=solver, progress=progress.Progress(stream))
    record = json.loads((tmp_path / "out" / "a" / "run.json").read_text())
    return status, stream.getvalue(), record


@pytest.mark.parametrize(("blur_", "grid"), [("uniform", None), ("nonuniform", (1, 2))])
def test_a_large_photo_from_file_to_results(tmp_path, blur_, grid):
    sharp = scene((400, 460))
    photo = np.clip(blurred(sharp, TRUE), 0, 1)
    assert cv2.imwrite(str(tmp_path / "a.png"), np.rint(255 * photo).astype(np.uint8))
    assert cv2.imwrite(str(tmp_path / "sharp.png"), np.rint(255 * sharp).astype(np.uint8))
    truths = {"a": tmp_path / "sharp.png"}
    status, said, record = run(tmp_path, blur_, grid, tile_size=256, truths=truths)
    assert status == 0, said
    announced = said.index("about ")
    assert announced < said.index("compiling")
    assert "460x400 pixels are restored in 4 tiles of 256 pixels" in said
    assert all(f"restoring {number}/4" in said for number in (1, 2, 3, 4))
    assert record["tile_size"] == 256
    assert len(record["crops"]) == (2 if grid else 1)
    assert {"start", "em", "restoration", "write"} <= set(record["timings_seconds"])
    folder = tmp_path / "out" / "a"
    assert np.load(folder / "kernels.npy").shape == (2 if grid else 1, 9, 9)
    result = cv2.imread(str(folder / "deblurred.png"), cv2.IMREAD_UNCHANGED) / 255
    assert result.shape == (400, 460)
    inner = np.s_[20:-20, 20:-20]
    before, after = (np.sqrt(np.mean((x - sharp)[inner] ** 2)) for x in (photo, result))
    assert after < 0.5 * before
    error = np.abs(result - sharp)[inner] / np.load(folder / "uncertainty.npy")[..., 0][inner]
    # A path's kernels count as displaced, and these, which are right, are not.
    assert 0.5 < np.mean(error < 1) < (0.99 if grid else 0.95)
    assert np.mean(error < 2) > 0.8
    assert record["psnr"]["result"] > record["psnr"]["blurred"] + 5


def test_without_em_the_starts_kernels_restore_the_tiles(tmp_path):
    photo = np.clip(blurred(scene((300, 320)), TRUE), 0, 1)
    assert cv2.imwrite(str(tmp_path / "a.png"), np.rint(255 * photo).astype(np.uint8))
    status, said, record = run(tmp_path, em_iterations=0, tile_size=256)
    assert status == 0, said
    assert record["em_iterations_done"] == 0
    assert np.load(tmp_path / "out" / "a" / "kernels.npy").shape == (1, 9, 9)


def test_a_crop_starts_from_the_whole_photos_kernel(tmp_path):
    seen = []

    def start(key, given, config):
        seen.append(given.pixels.shape)
        problem = prepare(key, given, config)
        return problem._replace(start_kernels=given.kernel[None])

    number, sure = jnp.int32(0), jnp.ones(())
    solver = KNOWING._replace(
        prepare=start,
        overview=lambda given, config: Choice(
            jnp.asarray(TRUE.T)[None], number, jnp.zeros(1), sure
        ),
        refine=lambda given, seen, config: seen[0],
    )
    photo = np.clip(blurred(scene((400, 460)), TRUE), 0, 1)
    assert cv2.imwrite(str(tmp_path / "a.png"), np.rint(255 * photo).astype(np.uint8))
    status, said, _ = run(tmp_path, tile_size=256, solver=solver)
    assert status == 0, said
    assert set(seen) == {(384, 384, 1)}
    kernels = np.load(tmp_path / "out" / "a" / "kernels.npy")
    np.testing.assert_allclose(kernels[0], TRUE.T, atol=1e-6)


def test_no_tiles_where_none_are_wanted_or_needed(tmp_path):
    pixels = np.rint(255 * scene((100, 120))).astype(np.uint8)
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)
    for size in (None, 0, 128):
        status, said, record = run(tmp_path, tile_size=size, overwrite=True)
        assert status == 0, said
        assert "tile_size" not in record


def test_many_pixels_are_cut_on_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "device_bytes", lambda: 2**50)
    wanted, config = sizes.Sizes("uniform", 31, None), DeblurConfig()
    for tile_size, shape, cut in (
        (None, (2000, 3000, 3), True),
        (None, (1000, 1500, 3), False),
        (4000, (2000, 3000, 3), False),
    ):
        options = driver.Options(tmp_path, config, wanted, seed=0, tile_size=tile_size)
        assert large.needs_tiles(shape, config, options) == cut


def test_without_tiles_what_does_not_fit_fails_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "device_bytes", lambda: 2**22)
    pixels = np.rint(255 * scene((100, 120))).astype(np.uint8)
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)
    status, said, record = run(tmp_path, tile_size=0)
    assert status == 1
    assert "--tile_size=auto" in record["why"]
    assert "compiling" not in said


def test_estimate_grows_with_the_work():
    config, speed = DeblurConfig(kernel_size=9), estimate.Speed(1e-7, 1e-9)
    taken = large.make_plan((1000, 1000, 1), config, 256)
    expected = functools.partial(large.expected_seconds, taken=taken, speed=speed, looks=True)
    small, big = expected((1000, 1000, 1), config), expected((4000, 4000, 3), config)
    assert list(small) == list(big)
    assert small["EM"] > 0
    assert big["restoring"] > 10 * small["restoring"]


def test_plan_resolves_batches_by_the_photo_itself():
    assert plan.parse_batching("auto", True) == plan.Batching(None, True)
    assert plan.parse_batching("3", False) == plan.Batching(3, False)
    for text in ("0", "-1", "many"):
        with pytest.raises(ValueError, match="--batch_size"):
            plan.parse_batching(text, False)
