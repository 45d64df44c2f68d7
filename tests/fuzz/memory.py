"""How much memory reading a picture takes at its peak, beside the size of what it returns.

    python -m tests.fuzz.memory

Each picture, of 24 megapixels, is read in a process of its own. Linux only.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from diqa_utils.images import can_read_heic, read_image

HEIGHT, WIDTH = 4000, 6000

#: At most so many times the 3 bytes of a pixel, by the bits of a channel.
LIMITS = {8: 3.0, 16: 5.0}

#: The decoders of these kinds keep copies of their own while they work.
GREEDY = {".webp": 6.0, ".jp2": 7.0, ".avif": 4.0}


def peak_of_reading(path: str | Path) -> float:
    """Peak memory of `read_image`, in sizes of the array that it returns."""
    read_image(path)  # loads the decoder, and frees what it needed
    Path("/proc/self/clear_refs").write_text("5")  # forgets earlier peaks
    before = _resident("VmRSS")
    picture = read_image(path)
    return (_resident("VmHWM") - before) * 1024 / picture.nbytes


def make_pictures(folder: Path, height: int = HEIGHT, width: int = WIDTH) -> dict[Path, int]:
    """Writes a picture of each kind; returns their paths and bits a channel."""
    rows, columns = np.indices((height, width), sparse=True)
    smooth = 128 + 60 * np.sin(columns / 37) + 40 * np.cos(rows / 53)
    grey = Image.fromarray(smooth.astype(np.uint8))
    colour = Image.merge("RGB", (grey, grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT), grey))
    turned = Image.Exif()
    turned[274] = 6
    see_through = colour.copy()
    see_through.putalpha(200)
    files: dict[Path, int] = {}

    def save(name: str, image: Image.Image, bits: int = 8, **options: object) -> None:
        image.save(folder / name, **options)
        files[folder / name] = bits

    for kind in ("jpg", "png", "webp", "bmp", "ppm", "gif", "tif", "jp2"):
        save(f"colour.{kind}", colour)
    save("colour.avif", colour, speed=10)
    if can_read_heic():
        save("colour.heic", colour)
    save("turned.jpg", colour, exif=turned)
    save("packed.tif", colour, compression="tiff_lzw")
    save("grey.jpg", grey)
    save("see-through.png", see_through)
    save("four-inks.jpg", colour.convert("CMYK"))
    save("palette.png", colour.quantize(64))
    deep = Image.fromarray((smooth * 257).astype(np.uint16))
    save("deep.png", deep, bits=16)
    save("deep.tif", deep, bits=16)
    return files


def _resident(name: str) -> int:
    """A number of kilobytes that the kernel keeps about this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def main() -> int:
    """Prints the peak of each kind; the exit code says whether all are below the limits."""
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        for path, bits in make_pictures(Path(folder)).items():
            command = [sys.executable, "-m", "tests.fuzz.memory", str(path)]
            peak = float(subprocess.run(command, capture_output=True, check=True).stdout)
            limit = GREEDY.get(path.suffix, LIMITS[bits])
            worst |= peak > limit
            print(f"{path.name:16} {peak:.2f} (limit {limit:g}){' ABOVE' if peak > limit else ''}")
    return worst


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(peak_of_reading(sys.argv[1]))
    else:
        sys.exit(main())
