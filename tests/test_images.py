"""Reading picture files of every common kind."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from diqa_utils.images import decode_image, is_picture_name, read_image


@pytest.fixture
def picture():
    """A smooth uint8 (40, 60, 3) picture with four corners that cannot be mistaken."""
    rows, columns = np.mgrid[:40, :60]
    return np.stack([rows * 4, columns * 4, 120 + rows - columns], axis=-1).astype(np.uint8)


def save(path, image, **settings):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **settings)
    return path


@pytest.mark.parametrize("kind", ["png", "bmp", "tif", "ppm", "tga"])
def test_lossless_rgb_is_read_exactly_into_an_array_of_its_own(tmp_path, picture, kind):
    path = save(tmp_path / f"a.{kind}", picture)
    image = read_image(str(path))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, picture)
    image[0, 0] = 7  # it can be written to
    np.testing.assert_array_equal(read_image(path), picture)


@pytest.mark.parametrize("kind", ["jpg", "webp", "jp2"])
def test_lossy_rgb_is_read_nearly(tmp_path, picture, kind):
    image = read_image(save(tmp_path / f"a.{kind}", picture, quality=95))
    assert image.shape == picture.shape
    assert np.abs(image.astype(int) - picture).mean() < 3


def test_the_name_may_have_spaces_and_any_letters_and_the_wrong_extension(tmp_path, picture):
    folder = tmp_path / "фото – été"
    folder.mkdir()
    path = save(folder / "мой kot ąę 日本.jpeg", picture, format="PNG")
    np.testing.assert_array_equal(read_image(path), picture)


# Kinds of pixels


def test_greyscale_becomes_three_equal_channels(tmp_path, picture):
    image = read_image(save(tmp_path / "a.png", picture[..., 0]))
    np.testing.assert_array_equal(image, np.repeat(picture[..., :1], 3, axis=-1))


def test_black_and_white_becomes_0_and_255(tmp_path):
    pattern = np.indices((40, 60)).sum(0) % 2 == 0
    image = read_image(save(tmp_path / "a.png", pattern))
    np.testing.assert_array_equal(image, np.repeat(255 * pattern[..., None], 3, axis=-1))


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_rgba_is_laid_over_white(tmp_path, picture, alpha):
    opacity = np.full((*picture.shape[:2], 1), alpha, np.uint8)
    image = read_image(save(tmp_path / "a.png", np.concatenate([picture, opacity], axis=-1)))
    expected = 255 + (picture.astype(float) - 255) * alpha / 255
    np.testing.assert_allclose(image, expected, atol=1)


def test_greyscale_with_alpha_is_laid_over_white(tmp_path):
    pixels = np.zeros((40, 60, 2), np.uint8)  # black, but transparent on the right
    pixels[:, :30, 1] = 255
    image = read_image(save(tmp_path / "a.png", pixels))
    assert image[0, 0].tolist() == [0, 0, 0]
    assert image[0, -1].tolist() == [255, 255, 255]


def test_palette_is_resolved(tmp_path, picture):
    reduced = Image.fromarray(picture).quantize(16)
    image = read_image(save(tmp_path / "a.png", reduced))
    np.testing.assert_array_equal(image, np.asarray(reduced.convert("RGB")))


def test_transparent_palette_entry_becomes_white(tmp_path):
    indices = np.zeros((40, 60), np.uint8)
    indices[:, 30:] = 1
    reduced = Image.fromarray(indices).convert("P")
    reduced.putpalette([200, 0, 0, 0, 200, 0])
    image = read_image(save(tmp_path / "a.png", reduced, transparency=1))
    assert image[0, 0].tolist() == [200, 0, 0]
    assert image[0, -1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["tif", "jpg"])
def test_cmyk_becomes_rgb(tmp_path, kind):
    cyan = Image.new("CMYK", (60, 40), (255, 0, 0, 0))
    image = read_image(save(tmp_path / f"a.{kind}", cyan))
    assert image.shape == (40, 60, 3)
    assert image[20, 30, 0] < 30
    assert image[20, 30, 1:].min() > 120


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_16_bit_grey_keeps_its_range(tmp_path, kind):
    levels = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    image = read_image(save(tmp_path / f"a.{kind}", levels))
    np.testing.assert_array_equal(image[..., 0], np.round(levels / 257))
    assert (image[0, 0, 0], image[-1, -1, 0]) == (0, 255)


def test_16_bit_colour_keeps_its_range(tmp_path):
    # Pillow writes no 16-bit colour; a PPM is simple enough to write by hand.
    levels = np.linspace(0, 65535, 40 * 60 * 3).reshape(40, 60, 3).astype(">u2")
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6 60 40 65535\n" + levels.tobytes())
    np.testing.assert_allclose(read_image(path), levels / 257, atol=1)


def test_16_bits_in_a_32_bit_file_keep_their_range(tmp_path):
    levels = np.full((40, 60), 257 * 100, np.int32)
    image = read_image(save(tmp_path / "a.tif", levels))
    assert np.all(image == 100)


# Orientation and frames


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, picture, orientation):
    stored = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: np.rot90(picture),
        7: picture[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(picture, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = save(tmp_path / "a.png", np.ascontiguousarray(stored), exif=exif)
    np.testing.assert_array_equal(read_image(path), picture)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP", "MPO"])
def test_of_several_frames_the_first_is_read(tmp_path, kind):
    red, blue = (Image.new("RGB", (60, 40), color) for color in ("red", "blue"))
    path = save(tmp_path / "a.img", red, format=kind, save_all=True, append_images=[blue])
    np.testing.assert_allclose(read_image(path), np.full((40, 60, 3), [255, 0, 0]), atol=2)


# Bad files


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file '.*missing\.png'"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(ValueError, match=rf"'{tmp_path}' is a folder"):
        read_image(tmp_path)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, picture, monkeypatch):
    path = save(tmp_path / "secret.png", picture)

    def refuse(name, *_):
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PermissionError, match=r"Permission denied: '.*secret\.png'"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"distorted_path,mos\n", bytes(100)])
def test_a_file_that_is_no_picture_is_named(tmp_path, content):
    (tmp_path / "scores.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"'.*scores\.png' is not a picture file"):
        read_image(tmp_path / "scores.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "JPEG2000", "WEBP", "DDS"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_picture_is_named(rng, kind, share):
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(buffer, kind)
    half = buffer.getvalue()[: int(share * len(buffer.getvalue()))]
    with pytest.raises(ValueError, match=r"'half\.img' is (damaged|not a picture)"):
        decode_image(half, "half.img")


def test_a_picture_too_large_to_be_safe_is_named(tmp_path, picture, monkeypatch):
    path = save(tmp_path / "bomb.png", picture)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"'.*bomb\.png' is too large to decode safely"):
        read_image(path)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((40, 60), 0.5, np.float32), "floating-point pixels of unknown range"),
        (np.full((40, 60), 70000, np.int32), "32-bit pixels"),
        (np.full((40, 60), -1, np.int32), "32-bit pixels"),
    ],
)
def test_pixels_of_unknown_range_are_refused(tmp_path, pixels, words):
    path = save(tmp_path / "deep.tif", pixels)
    with pytest.raises(ValueError, match=rf"'.*deep\.tif' has {words}"):
        read_image(path)


@pytest.mark.parametrize("name", ["a.jpg", "b c.JPEG", "d.png", "e.tif", "f.webp", "g.bmp"])
def test_a_picture_is_known_by_its_ending(tmp_path, name):
    assert is_picture_name(tmp_path / name)
    assert not is_picture_name(f"{name}.txt")
    assert not is_picture_name(name.partition(".")[0])


def test_a_photograph_of_a_hundred_megapixels_can_be_read():
    file = io.BytesIO()
    Image.new("L", (10_000, 10_000), 90).save(file, "png")
    assert decode_image(file.getvalue(), "large.png").shape == (10_000, 10_000, 3)
