"""Reading picture files of every common kind."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import ExifTags, Image

from diqa_utils import images
from diqa_utils.images import decode_image, is_picture_name, read_image
from tests.fuzz.mutations import mutated, refused


@pytest.fixture
def picture():
    """A smooth uint8 (40, 60, 3) picture with four corners that cannot be mistaken."""
    rows, columns = np.mgrid[:40, :60]
    return np.stack([rows * 4, columns * 4, 120 + rows - columns], axis=-1).astype(np.uint8)


def save(path, image, **settings):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **settings)
    return path


@pytest.mark.parametrize("kind", ["png", "bmp", "tif", "ppm"])
def test_lossless_rgb_is_read_exactly_into_an_array_of_its_own(tmp_path, picture, kind):
    path = save(tmp_path / f"a.{kind}", picture)
    image = read_image(str(path))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, picture)
    image[0, 0] = 7  # it can be written to
    np.testing.assert_array_equal(read_image(path), picture)


@pytest.mark.parametrize("kind", ["jpg", "webp", "jp2", "heic", "avif"])
def test_lossy_rgb_is_read_nearly(tmp_path, picture, kind):
    image = read_image(save(tmp_path / f"a.{kind}", picture, quality=95))
    assert image.shape == picture.shape
    assert np.abs(image.astype(int) - picture).mean() < 3


def test_the_name_may_have_spaces_any_letters_and_the_wrong_extension(
    tmp_path, picture, monkeypatch
):
    save(tmp_path / "мой kot ąę 日本.jpeg", picture, format="PNG")
    monkeypatch.setenv("HOME", str(tmp_path))
    np.testing.assert_array_equal(read_image("~/мой kot ąę 日本.jpeg"), picture)


# Forms of input


@pytest.mark.parametrize("kind", ["png", "tif", "jpg", "webp"])
def test_all_that_hold_one_picture_give_the_same(tmp_path, picture, kind):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned to the right
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(picture)))
    path = save(tmp_path / f"turned.{kind}", turned, exif=exif)
    expected, content = read_image(path), path.read_bytes()
    assert expected.shape == picture.shape
    assert np.abs(expected.astype(int) - picture).mean() < 3
    forms = [str(path), content, bytearray(content), memoryview(content), io.BytesIO(content)]
    with open(path, "rb") as file, Image.open(path) as image:
        forms += [file, file, image, image, image.copy()]  # the file is at its end the second time
        for form in forms:
            np.testing.assert_array_equal(read_image(form), expected)
        if kind != "tif":  # Pillow turns it itself
            assert image.size == turned.size, "the user's own picture was changed"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I"])
def test_a_pil_image_of_any_mode_is_shown_in_rgb(mode, picture):
    grey = Image.fromarray(picture[..., 0])
    if mode == "LAB":
        # Half as bright as white, without colour.
        lab = np.full((40, 60, 3), (128, 0, 0), np.uint8)
        image, expected = Image.fromarray(lab, "LAB"), np.full((40, 60, 3), 119)
    elif mode == "I":
        image = grey.point(lambda level: 257 * level, "I")
        expected = picture[..., :1]
    else:
        image = grey.convert("RGB").convert(mode)
        expected = np.asarray(image.convert("L"))[..., None]
    assert image.mode == mode
    assert np.abs(read_image(image).astype(int) - expected).mean() < 2


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        ("", ValueError, "names no picture"),
        ("https://example.org/a.jpg", ValueError, "is an address: fetch the picture"),
        ("a\0b.jpg", ValueError, "zero byte"),
        (None, TypeError, "None is no picture: pass a path"),
        (float("nan"), TypeError, "nan is no picture"),
        (3, TypeError, "3 is no picture"),
        ({}, TypeError, "is no picture"),
        (io.StringIO("text"), TypeError, "gives text, not bytes"),
    ],
)
def test_what_names_no_picture_is_refused(what, error, words):
    with pytest.raises(error, match=words):
        read_image(what)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"'.*a\.jpg' is no ordinary file"):
        read_image(tmp_path / "a.jpg")  # and nobody waits for what is written into it


# Decoders


@pytest.mark.parametrize("kind", ["EPS", "TGA", "DDS", "ICO", "PCX", "SGI", "PDF", "BLP"])
def test_no_other_decoder_than_those_of_photographs_is_run(kind, picture):
    file = io.BytesIO()
    image = Image.fromarray(picture)
    (image.quantize(16) if kind == "BLP" else image).save(file, kind)
    with pytest.raises(ValueError, match=r"'photo\.jpg' is not a picture file of a known kind"):
        decode_image(file.getvalue(), "photo.jpg")
    if kind not in {"PDF"}:
        opened = Image.open(io.BytesIO(file.getvalue()))
        with pytest.raises(ValueError, match=rf"of the kind {opened.format}, which is none of"):
            read_image(opened)


@pytest.mark.parametrize("tags", [{254: 1}, {50706: b"\1\4\0\0"}])
@pytest.mark.parametrize("name", ["DSC_0001.NEF", "renamed.tif"])
def test_the_preview_in_a_raw_file_is_not_taken_for_the_photograph(tmp_path, picture, tags, name):
    path = save(tmp_path / name, picture, format="TIFF", tiffinfo=tags)
    with Image.open(path) as image:
        for form in (path, path.read_bytes(), image):
            with pytest.raises(ValueError, match=r"is a raw file.*convert it to JPEG"):
                read_image(form)


def test_a_raw_file_is_known_by_its_name(tmp_path, picture):
    (tmp_path / "a.CR3").write_bytes(b"\0\0\0\x18ftypcrx " + bytes(64))
    save(tmp_path / "b.dng", picture, format="JPEG")
    for name in ("a.CR3", "b.dng"):
        with pytest.raises(ValueError, match=rf"{name}' is a raw file"):
            read_image(tmp_path / name)


def test_without_pillow_heif_a_heic_picture_names_the_remedy(tmp_path, picture, monkeypatch):
    path = save(tmp_path / "a.heic", picture)
    others = {kind: decoder for kind, decoder in images._decoders().items() if kind != "HEIF"}
    monkeypatch.setattr(images, "_decoders", lambda: others)
    with pytest.raises(ValueError, match=r"a\.heic' is a HEIC picture: install pillow-heif"):
        read_image(path)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("odd"), "is damaged and cannot be decoded: .*odd"),
        (SyntaxError("odd"), "is damaged and cannot be decoded: .*odd"),
        (MemoryError(), "takes more memory than there is"),
    ],
)
def test_whatever_a_decoder_raises_becomes_a_sentence(error, words, monkeypatch):
    def decoder(file, name):
        raise error

    monkeypatch.setattr(images, "_decoders", lambda: {"ODD": (decoder, lambda head: True)})
    with pytest.raises(ValueError, match=rf"'a\.png' {words}"):
        decode_image(b"odd", "a.png")


def sound_pictures(picture):
    """A small file of each format and kind of pixels."""
    colour = Image.fromarray(picture)
    deep = Image.fromarray(picture[..., 0].astype(np.uint16) * 257)
    see_through = colour.copy()
    see_through.putalpha(90)
    kinds = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "AVIF", "HEIF", "JPEG2000", "MPO", "TIFF")
    settings = [(colour, kind, {}) for kind in kinds]
    packed = ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    settings += [(colour, "TIFF", {"compression": name}) for name in packed]
    settings += [(colour.convert("CMYK"), "JPEG", {"progressive": True}), (deep, "TIFF", {})]
    settings += [(deep, "PNG", {}), (see_through, "PNG", {}), (colour.convert("1"), "PPM", {})]
    for image, kind, options in settings:
        file = io.BytesIO()
        image.save(file, kind, **options)
        yield file.getvalue()


def test_damaged_pictures_are_read_or_refused_in_a_sentence(tmp_path, picture, rng, capfd):
    path, outcomes = tmp_path / "a.img", []
    for sound in sound_pictures(picture):
        for _ in range(15):
            path.write_bytes(mutated(sound, rng))
            outcomes.append(refused(lambda: read_image(path), str(path)))
    assert 0.2 < np.mean(outcomes) < 0.9
    assert capfd.readouterr() == ("", "")


#: Prints how much memory reading a picture takes at its peak, in sizes of what it returns.
PEAK_OF_READING = """
import sys
from pathlib import Path
from diqa_utils.images import read_image

def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))

read_image(sys.argv[1])  # loads the decoder, and frees what it needed
Path("/proc/self/clear_refs").write_text("5")  # forgets earlier peaks
before = resident("VmRSS")
picture = read_image(sys.argv[1])
print((resident("VmHWM") - before) / picture.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak of memory")
@pytest.mark.parametrize(("kind", "dtype", "limit"), [("jpg", np.uint8, 3), ("png", np.uint16, 5)])
def test_reading_takes_a_few_times_the_memory_of_the_picture(tmp_path, kind, dtype, limit):
    shape = (3000, 4000) if dtype == np.uint16 else (3000, 4000, 3)
    path = save(tmp_path / f"large.{kind}", np.full(shape, 99, dtype))
    command = [sys.executable, "-c", PEAK_OF_READING, path]
    assert 1 < float(subprocess.run(command, capture_output=True, check=True).stdout) < limit


# Kinds of pixels


@pytest.mark.parametrize("greatest", [1, 255])  # black and white, and grey
def test_grey_becomes_three_equal_channels(tmp_path, picture, greatest):
    gray = picture[..., 0] if greatest == 255 else picture[..., 0] > 77
    image = read_image(save(tmp_path / "a.png", gray))
    expected = np.repeat(gray[..., None] * np.uint8(255 // greatest), 3, axis=-1)
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_rgba_is_laid_over_white(tmp_path, picture, alpha):
    opacity = np.full((*picture.shape[:2], 1), alpha, np.uint8)
    image = read_image(save(tmp_path / "a.png", np.concatenate([picture, opacity], axis=-1)))
    expected = 255 + (picture.astype(float) - 255) * alpha / 255
    np.testing.assert_allclose(image, expected, atol=1)


def test_what_is_transparent_becomes_white(tmp_path):
    right = np.indices((40, 60))[1] >= 30
    black_or_clear = np.stack([0 * right, 255 * ~right], axis=-1).astype(np.uint8)
    palette = Image.fromarray(right.astype(np.uint8)).convert("P")
    palette.putpalette([0, 0, 0, 0, 200, 0])
    for picture, options in ((black_or_clear, {}), (palette, {"transparency": 1})):
        image = read_image(save(tmp_path / "a.png", picture, **options))
        np.testing.assert_array_equal(image, np.repeat(255 * right[..., None], 3, axis=-1))


def test_palette_is_resolved(tmp_path, picture):
    reduced = Image.fromarray(picture).quantize(16)
    image = read_image(save(tmp_path / "a.png", reduced))
    np.testing.assert_array_equal(image, np.asarray(reduced.convert("RGB")))


@pytest.mark.parametrize("kind", ["tif", "jpg"])
def test_cmyk_becomes_rgb(tmp_path, kind):
    cyan = Image.new("CMYK", (60, 40), (255, 0, 0, 0))
    image = read_image(save(tmp_path / f"a.{kind}", cyan))
    assert image.shape == (40, 60, 3)
    assert image[20, 30, 0] < 30
    assert image[20, 30, 1:].min() > 120


@pytest.mark.parametrize(
    ("kind", "dtype"), [("png", "uint16"), ("tif", "uint16"), ("tif", "int32")]
)
def test_16_bit_grey_keeps_its_range(tmp_path, kind, dtype):
    levels = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(dtype)
    image = read_image(save(tmp_path / f"a.{kind}", levels))
    np.testing.assert_array_equal(image[..., 0], np.round(levels / 257))


def test_16_bit_colour_keeps_its_range(tmp_path):
    # Pillow writes no 16-bit colour; a PPM is simple enough to write by hand.
    levels = np.linspace(0, 65535, 40 * 60 * 3).reshape(40, 60, 3).astype(">u2")
    (tmp_path / "a.ppm").write_bytes(b"P6 60 40 65535\n" + levels.tobytes())
    np.testing.assert_allclose(read_image(tmp_path / "a.ppm"), levels / 257, atol=1)


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

    def refuse(name, *_, **__):
        raise PermissionError(13, "Permission denied", str(name))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PermissionError, match=r"Permission denied: '.*secret\.png'"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"distorted_path,mos\n", bytes(100)])
def test_a_file_that_is_no_picture_is_named(tmp_path, content):
    (tmp_path / "scores.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"'.*scores\.png' is not a picture file"):
        read_image(tmp_path / "scores.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "JPEG2000", "WEBP", "AVIF"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_picture_is_named(rng, kind, share):
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(buffer, kind)
    half = buffer.getvalue()[: int(share * len(buffer.getvalue()))]
    with pytest.raises(ValueError, match=r"'half\.img' is (damaged|not a picture)"):
        decode_image(half, "half.img")


def test_a_picture_larger_than_allowed_is_named_and_can_be_allowed(tmp_path):
    path = save(tmp_path / "large.png", Image.new("L", (2000, 1000), 90))
    words = r"large\.png' has 2\.0 megapixels, more than the 1\b.*--max-megapixels"
    with pytest.raises(ValueError, match=words):
        read_image(path, max_megapixels=1)
    assert read_image(path, max_megapixels=2).shape == (1000, 2000, 3)


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
