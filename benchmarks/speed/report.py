"""The table that `make bench` prints."""

from typing import Any

from rich.console import Console
from rich.table import Table

COLUMNS = ("what", "baseline", "ours", "ratio", "spread")


Row = tuple[str, ...]


def rows(results: dict[str, Any]) -> list[Row]:
    """Returns a row for each thing that was measured."""
    found: list[Row] = []
    for precision, one in results.get("training", {}).items():
        found += _training(precision, one)
    for name, part in (
        ("normalization", _normalization),
        ("scoring", _scoring),
        ("memory", _memory),
        ("ladder", _ladder),
        ("learned_metrics", _learned_metrics),
    ):
        found += part(results[name]) if name in results else []
    return found + [
        _row(title, ours=f"{results[key]:.3f} s")
        for key, title in STARTUP.items()
        if key in results
    ]


STARTUP = {
    "import_s": "import diqa_utils",
    "help_s": "diqa-score --help",
    "first_score_beyond_tensorflow_s": "first score, beyond TensorFlow's import",
}


def _training(precision: str, one: dict[str, Any]) -> list[Row]:
    product, step = (one[key] for key in ("matmul_gflops", "step_gflops"))
    return [
        _rate(f"training f and g, {precision}", one),
        *(
            _row(
                f"  examples {how}, {precision}",
                ours=f"{one[f'{way}_images_per_s']:.2f} /s",
                ratio=_times(one[f"{way}_ratio"]),
            )
            for way, how in (("disk", "on disk"), ("streaming", "made anew"))
        ),
        _rate(f"training f and h, {precision}", one["scores"]),
        _row(
            f"matrix product and step, {precision}",
            f"{product:.0f} GFLOP/s",
            f"{step:.0f} GFLOP/s",
            f"{one['share_of_matmul']:.2f}",
        ),
    ]


def _normalization(one: dict[str, Any]) -> list[Row]:
    return [
        _seconds("normalising a pair", one, one["baseline_s"], one["seconds"]),
        _row("  against copying as many bytes", ratio=_times(one["times_a_copy"])),
    ]


def _scoring(one: dict[str, Any]) -> list[Row]:
    large, folder = one["large_picture"], one["folder"]
    found = [
        _seconds(f"scoring, {name}", one[name], one["baseline_s"], one[name]["s"])
        for name in ("extended", "float32", "bfloat16")
        if name in one
    ]
    return [
        *found,
        _row(
            "a folder of JPEG files, against arrays",
            ours=f"{folder['files_per_s']:.1f} /s",
            ratio=f"{folder['share_of_network']:.2f}",
        ),
        _row(f"{large['megapixels']:.0f} megapixels", ours=f"{large['s']:.2f} s"),
    ]


def _memory(one: dict[str, Any]) -> list[Row]:
    peaks = (f"{one[key]:.0f} MiB" for key in ("peak_1000_mib", "peak_20000_mib"))
    return [
        _row("peak, 1,000 and 20,000 pictures", *peaks, f"{1 + one['growth']:.3f}"),
        _row(
            "time a picture, 10,000 against 100", ratio=f"{one['s_per_picture_10000_to_100']:.2f}"
        ),
    ]


def _ladder(one: dict[str, Any]) -> list[Row]:
    return [
        _row(
            f"ladder: {name.replace('_', ' ')}",
            ours=f"{rung['median']:.3f} s",
            ratio=_times(rung["ratio"]),
            spread=f"{rung['low']:.3f} to {rung['high']:.3f} s",
        )
        for name, rung in sorted(one.items(), key=lambda rung: -rung[1]["median"])
    ]


def _learned_metrics(one: dict[str, Any]) -> list[Row]:
    return [
        _row(
            f"one picture: {name.replace('_', ' ')}",
            baseline=f"{metric['million_parameters']:.2f} million parameters",
            ours=f"{metric['s']['median'] * 1e3:.0f} ms",
            ratio=_times(metric["times_the_extended"]),
            spread=f"{metric['billion_multiply_adds']:.1f} billion multiply-adds"
            if "billion_multiply_adds" in metric
            else "",
        )
        for name, metric in one.items()
    ]


def _row(what: str, baseline: str = "", ours: str = "", ratio: str = "", spread: str = "") -> Row:
    return what, baseline, ours, ratio, spread


def _rate(title: str, one: dict[str, Any]) -> tuple[str, ...]:
    rates = (f"{one[key]:.2f} /s" for key in ("baseline_images_per_s", "images_per_s"))
    return (title, *rates, _times(one["ratio"]), _spread(one))


def _seconds(
    title: str, one: dict[str, Any], baseline: dict[str, float], ours: dict[str, float]
) -> tuple[str, ...]:
    times = (f"{some['median'] * 1e3:.1f} ms" for some in (baseline, ours))
    return (title, *times, _times(one["ratio"]), _spread(one))


def _times(ratio: float) -> str:
    return f"{ratio:.2f} x"


def _spread(one: dict[str, float]) -> str:
    return f"{one['ratio_low']:.2f} to {one['ratio_high']:.2f}"


def show(results: dict[str, Any]) -> None:
    """Prints the table."""
    machine = results["machine"]
    title = f"{machine['processor']}, {machine['cores']} cores, TensorFlow {machine['tensorflow']}"
    table = Table(*COLUMNS, title=title, title_justify="left")
    for row in rows(results):
        table.add_row(*row)
    console = Console()
    console.print(table)
    if not machine["bfloat16"]:
        console.print("This processor has no instructions for bfloat16: float32 only.")
