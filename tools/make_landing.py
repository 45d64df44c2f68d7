"""Makes the picture of the first page: a photograph, a damaged copy, and what is said of both.

    python tools/make_landing.py            # book/_figures/landing*, which git ignores
    python tools/make_landing.py --social   # book/_static/social.jpg, which git holds

The build of the book runs this whenever the figures may be out of date.
"""

import argparse
import io
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from diqa_utils import notebook  # noqa: E402

notebook.setup(seed=0)  # before TensorFlow is imported, which is quiet then

import matplotlib as mpl  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.font_manager import findfont  # noqa: E402
from PIL import Image, ImageDraw, ImageFont  # noqa: E402
from skimage.data import coffee  # noqa: E402

from diqa_utils.inference import load_pretrained  # noqa: E402

FIGURES = ROOT / "book" / "_figures"
SOCIAL = ROOT / "book" / "_static" / "social.jpg"
QUALITY = 5

#: Without a script the two pictures stand half and half.
SLIDER = """
<p class="landing-score landing-whole">As taken<br><strong>{whole}</strong></p>
<p class="landing-score landing-damaged">JPEG, quality {quality}<br><strong>{damaged}</strong></p>
<input type="range" min="0" max="100" value="50" aria-label="Undamaged part of the photograph"
  oninput="this.parentElement.style.setProperty('--cut', this.value + '%')">
<div class="compare-line" aria-hidden="true"></div>
"""


def damage(photograph: np.ndarray) -> bytes:
    """Returns a photograph as a JPEG file of low quality."""
    file = io.BytesIO()
    Image.fromarray(photograph).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def decode(file: bytes) -> np.ndarray:
    """Returns the pixels of a picture's file."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def make_landing() -> None:
    """Writes two photographs, their predicted error maps, and the slider with their scores."""
    whole, jpeg = coffee(), damage(coffee())
    judge, mapper = load_pretrained(), load_pretrained("diqa")
    pictures = {"whole": whole, "damaged": decode(jpeg)}
    maps = {name: mapper.predict_error_map(picture) for name, picture in pictures.items()}
    low, high = (function([*maps.values()]) for function in (np.min, np.max))
    Image.fromarray(whole).save(FIGURES / "landing-whole.webp", lossless=True, method=6)
    (FIGURES / "landing-damaged.jpg").write_bytes(jpeg)
    for file, error_map in zip(
        ("landing-map-whole.png", "landing-map-damaged.png"), maps.values(), strict=True
    ):
        colours = mpl.colormaps["magma"]((error_map - low) / (high - low), bytes=True)[..., :3]
        Image.fromarray(colours).save(FIGURES / file, optimize=True)
    scores = {name: repr(judge.score(picture)) for name, picture in pictures.items()}
    html = SLIDER.format(quality=QUALITY, **scores)
    (FIGURES / "landing.html").write_text(html, encoding="utf-8")


def make_social() -> None:
    """Writes the picture that other sites show beside a link to the book."""
    picture = np.where(np.arange(600)[:, None] < 300, coffee(), decode(damage(coffee())))
    card = Image.fromarray(picture[42:357]).resize((1200, 630), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(card, "RGBA")
    draw.rectangle((597, 0, 603, 630), fill="white")
    draw.rectangle((0, 480, 1200, 630), fill=(12, 40, 60, 225))
    for size, y, text in (
        (46, 496, "Blind image quality assessment with DIQA"),
        (28, 568, "A book whose every chapter runs, and its TensorFlow library"),
    ):
        draw.text((40, y), text, font=ImageFont.truetype(findfont("DejaVu Sans"), size))
    card.save(SOCIAL, quality=85)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--social", action="store_true", help="make the social picture instead")
    if parser.parse_args().social:
        make_social()
    else:
        FIGURES.mkdir(exist_ok=True)
        make_landing()
