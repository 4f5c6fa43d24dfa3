"""Pictures as the scorers get them."""

from __future__ import annotations

import pytest

from bp_core.errors import InputError
from bp_core.score.image import open_image

Image = pytest.importorskip("PIL.Image")


def test_exif_turns_a_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 2), "red").save(tmp_path / "a.jpg", exif=exif)
    assert open_image(tmp_path / "a.jpg").size == (2, 4)


def test_sixteen_bits_are_scaled(tmp_path):
    Image.new("I;16", (2, 2), 32896).save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png").getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (9, 9, 9, 0)), ("LA", (9, 0))])
def test_what_is_transparent_lies_over_white(tmp_path, mode, colour):
    Image.new(mode, (2, 2), colour).save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png").getpixel((0, 0)) == (255, 255, 255)


def test_a_picture_too_large_is_called_so(tmp_path, monkeypatch):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="million pixels"):
        open_image(tmp_path / "a.png")
