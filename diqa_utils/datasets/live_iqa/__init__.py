"""The database `live_iqa`."""

from dataclasses import replace

from diqa_utils.datasets.database import Database, Scale

DATABASE = Database(
    name="live_iqa",
    title="LIVE, release 2",
    splits={"rated": 779},
    references=29,
    distortions=5,
    score="DMOS, realigned",
    # The published numbers leave 0..100 at both ends.
    scale=Scale(-3, 112, higher_is_better=False),
    home="https://live.ece.utexas.edu/research/quality/subjective.htm",
    terms="any use with the copyright notice kept and the laboratory acknowledged",
    files=(
        "Fetch release 2 of the database, unpack it with the password that its owners send you, "
        "and add dmos_realigned.mat, a separate file on the same page. The folder then holds jp2k, "
        "jpeg, wn, gblur, fastfading, refimgs, dmos.mat, dmos_realigned.mat and refnames_all.mat."
    ),
    flag="pristine",
    flagged=203,
    config="realigned",
)

RAW = replace(
    DATABASE,
    name="live_iqa/raw",
    title="LIVE, first scores",
    score="DMOS",
    scale=Scale(0, 100, higher_is_better=False),
    config="raw",
)
