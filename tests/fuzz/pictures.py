"""Reads thousands of damaged pictures of all formats.

    python -m tests.fuzz.pictures --number 10000

Each must give pixels, or a ValueError that names the file; within ten seconds, without a word on
standard error, and without taking the process down.
"""

import argparse
import io
import select
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from diqa_utils.images import can_read_heic, read_image
from tests.fuzz.mutations import mutated

#: Seconds after which a picture counts as one that hangs.
PATIENCE = 10


def sound_pictures() -> list[bytes]:
    """Returns a small file of each format and kind of pixels that are read."""
    rows, columns = np.indices((70, 90))
    smooth = (110 + 60 * np.sin(columns / 9) + 40 * np.cos(rows / 5)).astype(np.uint8)
    grey = Image.fromarray(smooth)
    colour = Image.merge("RGB", (grey, grey.rotate(180), grey))
    deep = Image.fromarray(smooth.astype(np.uint16) * 257)
    see_through = colour.copy()
    see_through.putalpha(grey)
    turned = Image.Exif()
    turned[274] = 6
    kinds = [(colour, kind, {}) for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "AVIF")]
    kinds += [(colour, "HEIF", {})] if can_read_heic() else []
    kinds += [(colour, "TIFF", {"compression": name}) for name in TIFF_COMPRESSIONS]
    kinds += [(colour, "JPEG2000", {}), (colour, "MPO", {"save_all": True})]
    kinds += [(colour, "JPEG", {"exif": turned, "progressive": True})]
    kinds += [(colour.convert("CMYK"), "JPEG", {}), (colour.convert("LAB"), "TIFF", {})]
    kinds += [(deep, "PNG", {}), (deep, "TIFF", {}), (see_through, "PNG", {})]
    kinds += [
        (grey.convert("1"), "TIFF", {"compression": "group4"}),
        (grey.convert("1"), "PPM", {}),
    ]
    files = []
    for image, kind, options in kinds:
        file = io.BytesIO()
        image.save(file, kind, **options)
        files.append(file.getvalue())
    return files


TIFF_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")


def outcome(number: int, sound: list[bytes], path: Path) -> str:
    """Reads the damaged picture of this number, which settles all of it."""
    rng = np.random.default_rng([0, number])
    path.write_bytes(mutated(sound[number % len(sound)], rng))
    try:
        pixels = read_image(path)
    except ValueError as error:
        return "refused in a sentence" if str(path) in str(error) else f"unnamed: {error}"
    except Exception as error:
        return f"raw {type(error).__name__}: {error}"
    good = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    return "read" if good else f"odd result {pixels.dtype} {pixels.shape}"


def work(first: int, last: int) -> None:
    """Prints an outcome for each number: a process of its own runs this."""
    sound = sound_pictures()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            line = outcome(number, sound, Path(folder) / "picture.img")
            print(line.replace("\n", " "), flush=True)


def main(number: int) -> int:
    """Prints how often what happened; the exit code says whether all is as it should be."""
    counts: Counter[str] = Counter()
    done = 0
    with tempfile.TemporaryFile() as words:
        while done < number:
            command = [sys.executable, "-m", "tests.fuzz.pictures", "--work", f"{done},{number}"]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words, bufsize=0)
            assert process.stdout is not None
            while done < number:
                patience = PATIENCE + 20 * (process.poll() is None and not counts)
                if not select.select([process.stdout], [], [], patience)[0]:
                    counts[f"HANG at {done}"] += 1
                    process.kill()
                elif line := process.stdout.readline():
                    counts[line.decode().strip()] += 1
                    done += 1
                    continue
                else:
                    counts[f"CRASH ({process.wait()}) at {done}"] += 1
                done += 1
                break
            process.wait()
        words.seek(0)
        counts["lines on standard error"] = len(words.read().splitlines())
    print("\n".join(f"{times:6} {what}" for what, times in counts.most_common()))
    fine = counts["read"] + counts["refused in a sentence"]
    return int(fine != number or counts["lines on standard error"] > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        work(*map(int, chosen.work.split(",")))
    else:
        sys.exit(main(chosen.number))
