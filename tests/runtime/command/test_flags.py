"""Flags are few, each says when to touch it, and flagfiles are found and understood."""

import dataclasses
import pathlib
import re

import pytest

from dem_jax.config import DeblurConfig
from dem_jax.runtime.command.flags import config_fields, define_flags
from dem_jax.runtime.command.options import make_options

CONFIGS = pathlib.Path(__file__).parents[3] / "configs"


def settings_of(config):
    """Every field of a configuration and of its parts."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from settings_of(value)
        else:
            yield field


def test_settings_are_few_and_each_has_a_sentence():
    fields = list(settings_of(DeblurConfig()))
    assert len(fields) <= 30
    for field in fields:
        assert field.metadata["help"].endswith("."), field.name


def test_flags_are_few_and_each_says_when_to_touch_it():
    values = define_flags()
    names = set(values) - {"help", "h", "helpfull"}
    assert len(names) <= 40
    for name in names:
        assert len(values[name].help.split()) > 4, name
    for name, _, text in config_fields(DeblurConfig()):
        assert values[name].help == text


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.flags")), ids=lambda path: path.stem)
def test_flagfiles_parse_anywhere_and_leave_the_photo_to_the_user(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = define_flags()
    assert values(["dem_jax", f"--flagfile={path}"]) == ["dem_jax"]
    make_options(values)
    text = path.read_text()
    assert not re.search(r"^--(input|output_dir)", text, re.M)
    assert f"--flagfile=configs/{path.name}" in text
    for header in ("# Cost:", "# Expect:"):
        assert header in text


def test_the_promised_flagfiles_are_there():
    promised = {"quickstart", "nonuniform", "best", "large", "paper", "smoke"}
    assert promised == {path.stem for path in CONFIGS.glob("*.flags")}
