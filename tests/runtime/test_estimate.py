"""How long a photo takes: the estimate follows the work, and its stages are those that are seen."""

import dataclasses

import pytest

from dem_jax.config import EFFORTS
from dem_jax.runtime import estimate

SPEED = estimate.Speed(1.87e-7, 3.3e-9)  # of 2 cores of an AMD EPYC


def seconds_of(effort, shape=(255, 255, 1), *, looks=True, **changes):
    config = dataclasses.replace(EFFORTS[effort], **changes)
    wide = (config.image_network.channels / 32) ** 1.6  # 7 against 2.3 microseconds
    speed = SPEED._replace(convolution=wide * SPEED.convolution)
    found = estimate.in_one_piece(shape, config, speed, looks=looks)
    return {name: value for name, value in found.items() if not name.startswith("compiling")}


def test_measured_photos_are_estimated():
    """Processor seconds that the stages took, with 60 Langevin steps an EM iteration.

    "kernel" of the small photo is the start's 18.7 s without the first look; that of larger ones
    was measured for one look, and half of it is counted for a second. The improvement by evidence
    is added: 0.8 s for each of the small photo's candidates, 3 s of the part of larger ones.
    """
    measured = {
        (255, 255, 1, 27): {
            "first look": 8.9,
            "kernel": 9.8 + 8 * 0.8,
            "warm start": 0.6,
            "EM": 12.1,
        },
        (512, 512, 3, 31): {"first look": 7.5, "kernel": 1.5 * (6.1 + 3.0), "warm start": 6.7},
        (768, 1024, 3, 41): {"first look": 7.0, "kernel": 1.5 * (20.2 + 3.0), "warm start": 19.7},
    }
    for (*shape, k), stages in measured.items():
        found = seconds_of("normal", tuple(shape), em_iterations=1, kernel_size=k)
        for name, seconds in stages.items():
            assert found[name] == pytest.approx(seconds, rel=0.3), (shape, name)


def test_efforts_grow():
    quick, normal, best = (sum(seconds_of(name).values()) for name in EFFORTS)
    assert 10 < quick < normal < best
    assert best > 5 * normal
    assert "EM" not in seconds_of("quick")
    assert sum(seconds_of("normal", looks=False).values()) < normal


def test_words():
    assert estimate.said({"compiling a": 12.0, "a": 88.0, "b": 40.0}).startswith("about 2 min, and")
    turned = estimate.said({"a": 40.0}, {"compiling a": 12.0, "a": 100.0, "b": 80.0})
    assert turned.startswith("about 40 s, 3 min if the camera turned, and about")
    assert [estimate.in_words(s) for s in (0.1, 12, 89, 91)] == ["5 s", "10 s", "90 s", "2 min"]


def test_programs_of_an_earlier_photo_are_loaded_in_some_time_too():
    said = estimate.said({"compiling a": 30.0, "a": 20.0})
    assert said.startswith("about 30 s, and about 20 s more when programs")


def test_this_machine_is_measured_once():
    assert estimate.measured(4) is estimate.measured(4)
    assert min(estimate.measured(4)) > 0
