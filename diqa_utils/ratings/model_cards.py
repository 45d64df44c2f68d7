"""Model cards: what a predictor is, what it learnt from, how it was measured, what it cannot do.

Source:
    Mitchell et al.: Model Cards for Model Reporting. FAT* 2019.
        https://doi.org/10.1145/3287560.3287596
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["model_card"]

WHAT = {
    "extended": """\
From a colour photograph of any size, 448 statistics of the whole and of its regions
(`image_statistics`); four small networks turn them into a quality between 0 and 1, higher is
better, and into how far off they expect to be. The error-map model of DIQA, trained on error maps
of pristine pictures, is in the same file and shows where a picture looks damaged; it has no part in
the score.""",
    "diqa": """\
The network of the DIQA paper: eight convolutions f look at the fine detail of a grey picture, and a
head h turns what they find into a quality between 0 and 1, higher is better. The error-map model
g(f) of step 1 is in the same file and shows where a picture looks damaged.""",
}

LIMITS = """\
- It knows photographs like those that it learnt from. For drawings, screenshots, medical images and
  the like it gives a number that means nothing, and does not always say so.
- It does not know what is in a picture, and whether the part that matters is sharp.
- Mirroring a picture changes its score, mostly by less than .03, by .09 for one of the sample
  photographs.
- It predicts a mean rating. Single people differ.

## What it must not be used for

Decisions about people or their work; anything where an error has a cost and nobody checks; the
choice of a codec or its settings without a test of your own; claims about databases that it has not
been measured on.

The weights are under the licence of the library."""


def model_card(name: str, card: Mapping[str, Any]) -> str:
    """Writes the model card of a predictor that was trained on ratings.

    Args:
        name: Name of the predictor, as the folder of its weights is called.
        card: The card of the predictor.

    Returns:
        Markdown text.

    Raises:
        ValueError: The card is not that of a predictor which a training run has measured.
    """
    try:
        parts = {
            "What it is": WHAT[card["predictor"]],
            "What it learnt from": "\n".join(_sources(card)),
            "How it was measured": "\n".join(_measures(card)),
        }
    except KeyError as error:
        raise ValueError(
            f"The card has no {error}: a model card can only be written of a predictor that "
            "`diqa train` has trained and measured."
        ) from error
    title = f"# Model card: {name}\n\nEvery number and the recipe are in `card.json`.\n\n"
    body = "".join(f"## {heading}\n\n{text}\n\n" for heading, text in parts.items())
    return f"{title}{body}## Known limits\n\n{LIMITS}\n"


def _sources(card: Mapping[str, Any]) -> list[str]:
    """What the predictor learnt from, an item each."""
    pictures, steps = card["pictures"], card["recipe"]["error_maps"]
    part = "a part of the" if card["partial"] else "the"
    lines = [
        f"- **Ratings** of {pictures['train']:,} pictures of {part} split `{card['split']}` of "
        f"`{card['database']}`. {pictures['validation']:,} more were set aside for validation and "
        f"{pictures['calibration']:,} for calibration. No picture can be got out of the weights."
    ]
    if steps["epochs"]:
        lines.append(
            f"- **Error maps** of pristine pictures that were damaged in every way that `distort` "
            f"knows: {steps['epochs']} epochs of {steps['steps']} batches."
        )
    statistics = card["recipe"]["statistics"]
    if card["predictor"] == "extended" and statistics["copies_weight"]:
        lines.append(
            f"- **Copies that get worse** of {statistics['copied_pictures']:,} pictures, rated and "
            "pristine ones by turns. Scores have to fall from level to level, and between copies "
            "of pristine pictures as MDSI and HaarPSI say, where both agree."
        )
    if card.get("sources"):
        lines.append(f"- **Where the pictures are from.** {card['sources']}")
    return lines


def _measures(card: Mapping[str, Any]) -> list[str]:
    """What was measured, an item each."""
    validation, interval = card["validation"], card["interval"]
    agreement = {metric: validation["agreement"][metric] for metric in ("srcc", "plcc", "rmse")}
    metrics = ", ".join(
        f"{metric.upper()} {row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        for metric, row in agreement.items()
    )
    lines = [
        f"- **Agreement with people** on the validation pictures: {metrics}. Settings were chosen "
        "with an eye on these pictures, so the numbers flatter a little.",
        f"- **Intervals** are to hold {interval['confidence']:.0%} of the ratings (split conformal "
        f"prediction on the calibration pictures). Of the validation pictures they hold "
        f"{validation['inside_interval']:.1%}; they are {validation['mean_width']:.3f} wide on "
        "average.",
    ]
    if copies := card.get("copies"):
        worst = sorted(copies["levels_by_kind"], key=copies["levels_by_kind"].get)[:3]
        lines.append(
            f"- **Order of copies** of {copies['pictures']} pristine pictures that it has not "
            f"learnt from, damaged in {len(copies['levels_by_kind'])} ways at five levels: SRCC "
            f"with the level, within a picture and a kind, {copies['levels']:.3f} on average; "
            f"SRCC over all with the two full-reference metrics, {copies['scenes']:.3f}. It is "
            f"least sure of {', '.join(f'`{kind}`' for kind in worst)}."
        )
    return lines
