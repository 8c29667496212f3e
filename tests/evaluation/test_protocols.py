"""The data sets' rules on hand-made results whose scores are known."""

import numpy as np
import pytest
import scipy.ndimage

from dem_jax.evaluation import metrics, protocols, published, tables


def picture(rows=190, cols=200, channels=3, seed=0):
    noise = np.random.default_rng(seed).normal(size=(rows, cols, channels))
    smooth = scipy.ndimage.gaussian_filter(noise, (2, 2, 0))
    return 0.5 + 0.4 * smooth / np.abs(smooth).max()


def noisy(image, std, seed=1):
    return image + std * np.random.default_rng(seed).normal(size=image.shape)


def moved(image, shift):
    """Such that the best shift of the moved picture undoes it exactly."""
    return scipy.ndimage.shift(image, (*shift, 0), order=1, mode="nearest")


def test_levin_ignores_a_shift_and_reports_it():
    sharp = picture(60, 60, 1)
    result = sharp + 0.1 * (picture(60, 60, 1, seed=9) - 0.5)  # smooth: interpolation keeps it
    here = protocols.levin_score(result, sharp)
    whole = protocols.levin_score(np.roll(result, (3, -2), (0, 1)), sharp)
    assert here["shift"] == [0, 0]
    assert whole["shift"] == [3, -2]
    assert whole["psnr"] == pytest.approx(here["psnr"], abs=1e-9)
    assert whole["ssim"] == pytest.approx(here["ssim"], abs=1e-9)
    part = protocols.levin_score(sharp, moved(sharp, (-1.25, 2.5)))
    assert part["shift"] == [1.25, -2.5]
    assert part["psnr"] > 100


def test_levin_shifts_by_five_pixels_and_lai_by_ten():
    sharp = picture(80, 80)
    result = np.roll(sharp, 9, axis=0)
    assert protocols.lai_score(result, sharp)["psnr"] > 100
    assert protocols.levin_score(result, sharp)["psnr"] < 40


def test_error_ratios_appear_with_a_reference():
    sharp = picture(60, 60, 1)
    reference = noisy(sharp, 0.01)
    scores = protocols.levin_score(reference, sharp, reference=reference)
    assert scores["error_ratio"] == pytest.approx(1)
    assert scores["error_ratio_spectral"] == pytest.approx(1)
    assert "error_ratio" not in protocols.levin_score(reference, sharp)


def test_colours_are_judged_by_luma_and_grey_copies_by_themselves():
    sharp = picture(60, 60)
    chroma = np.array([1 / 65.481, -1 / 128.553, 0])  # leaves Y as it is
    assert protocols.lai_score(sharp + chroma, sharp)["psnr"] > 100
    grey = picture(60, 60, 1)
    assert protocols.levin_score(np.repeat(grey, 3, axis=2), grey)["psnr"] > 100


def test_lai_rotation_alignment_undoes_a_rotation():
    pytest.importorskip("cv2")
    sharp = picture(120, 140)
    turned = scipy.ndimage.rotate(sharp, 2, axes=(0, 1), reshape=False, order=3, mode="nearest")
    scores = protocols.lai_score(turned, sharp, rotation=True)
    assert scores["psnr"] < 36
    for motion in ("rigid", "homography"):
        assert scores[f"psnr_{motion}"] > scores["psnr"] + 10
        assert scores[f"ssim_{motion}"] > scores["ssim"]


def test_koehler_takes_the_best_frame_and_forgives_whole_pixels():
    share = (0.4, 0.0, 0.2)
    frames = [
        np.roll((1 - a) * picture() + a * picture(seed=5), (i, -i), (0, 1))
        for i, a in enumerate(share)
    ]
    result = np.roll(noisy(picture(), 0.02), (2, 5), (0, 1))
    alone = [protocols.koehler_score(result, [frame]) for frame in frames]
    together = protocols.koehler_score(result, frames)
    assert together["frame"] == 1
    assert together["psnr"] == max(s["psnr"] for s in alone) > 33
    assert together["mssim"] == max(s["mssim"] for s in alone) > 0.95
    assert alone[0]["psnr"] < alone[2]["psnr"] < 33


def test_koehler_scales_before_it_compares():
    sharp = picture()
    a = protocols.koehler_score(noisy(sharp, 0.02), [sharp])
    b = protocols.koehler_score(0.25 * noisy(sharp, 0.02), [sharp])
    assert a["psnr"] == pytest.approx(b["psnr"], abs=1e-9)
    luma = metrics.luma(noisy(sharp, 0.02) - sharp, rule="rec601")
    assert a["psnr"] == pytest.approx(-10 * np.log10(np.mean(luma**2)), abs=0.05)
    with pytest.raises(ValueError, match="at least one"):
        protocols.koehler_score(sharp, [])


@pytest.mark.parametrize(
    ("protocol", "name", "case"),
    [
        ("levin", "im2_kernel7_img", ("im2", "im2", "kernel7", "all")),
        ("levin", "im1_kernel3_img_x", ("im1", "im1", "kernel3", "all")),
        ("lai", "text_02_kernel_01", ("text_02", "text", "kernel_01", "uniform")),
        ("lai", "natural_05_gyro_01", ("natural_05", "natural", "", "nonuniform")),
        ("koehler", "Blurry1_12", ("GroundTruth1_12", "image 1", "", "all")),
        ("koehler", "Muller3_8", ("GroundTruth3_8", "image 3", "", "all")),
    ],
)
def test_names_say_which_truth_and_group(protocol, name, case):
    assert protocols.PROTOCOLS[protocol].identify(name) == case


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS)
def test_a_foreign_name_gets_a_clear_sentence(protocol):
    with pytest.raises(ValueError, match="a name like"):
        protocols.PROTOCOLS[protocol].identify("holiday")


def test_averages_are_by_group_and_overall():
    scores = {
        "a": {"psnr": 30.0, "shift": [0, 0]},
        "b": {"psnr": 32.0, "shift": [0, 1]},
        "c": {"psnr": 40.0, "shift": [1, 0]},
    }
    averages = tables.summarize(scores, {"a": "x", "b": "x", "c": "y"})
    assert averages == {"x": {"psnr": 31.0}, "y": {"psnr": 40.0}, "average": {"psnr": 34.0}}
    text = tables.scores_table(scores, averages)
    assert "| a | 30.00 | +0, +0 |" in text
    assert "| **average** | 34.00 | - |" in text


@pytest.mark.parametrize(
    "table",
    [published.LEVIN, published.LAI_UNIFORM, published.LAI_NONUNIFORM, published.KOEHLER],
    ids=lambda table: table.title,
)
def test_published_rows_fit_their_columns_and_averages(table):
    for row in table.rows:
        assert len(row) == len(table.columns) + 1
    if "average" in table.columns:  # printed averages are off by up to 0.06 in the papers
        last = table.columns.index("average") + 1
        for row in table.rows:
            if None not in row[1:last]:
                assert np.mean(row[1:last]) == pytest.approx(row[last], abs=0.07), row


def test_our_row_stands_under_the_right_columns():
    averages = {
        "image 1": {"psnr": 31.0, "mssim": 0.91},
        "average": {"psnr": 29.0, "mssim": 0.9},
    }
    text = tables.published_table(published.KOEHLER, averages, 12)
    assert text.endswith("| **ours, 12 photos** | 31.00 | - | - | - | 29.00 | 0.900 |")
    averages = {"average": {"psnr": 33.0, "ssim": 0.95, "error_ratio_spectral": 1.1}}
    text = tables.published_table(published.LEVIN, averages, 16)
    assert text.endswith("| **ours, 16 photos** | 33.00 | 0.950 | 1.100 |")
    averages = {"text": {"psnr": 20.0, "psnr_rigid": 21.0}, "average": {"psnr_rigid": 21.5}}
    text = tables.published_table(published.LAI_NONUNIFORM, averages, 1)
    assert text.endswith("| - | - | - | - | 21.00 | 21.50 |")
