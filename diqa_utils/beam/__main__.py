"""`python -m diqa_utils.beam`: work for many machines; options that are Beam's are passed on."""

import logging
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diqa_utils.cli.common import PLAIN, Predictor, errors_in_words, signals_stop

# What takes long is imported within the functions: help must not wait for it.
if TYPE_CHECKING:
    from apache_beam import Pipeline

#: What a command needs that passes Beam's options on.
PASSED_ON: dict[str, Any] = {
    "context_settings": {"ignore_unknown_options": True, "allow_extra_args": True}
}
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATTERN... [BEAM'S OPTIONS]", help="Pictures: names, patterns in quotes, folders."
    ),
]

app = typer.Typer(no_args_is_help=True, **PLAIN)


@app.callback()
def _main() -> None:
    """Work for many machines, by Apache Beam; one machine runs it too."""
    logging.getLogger().setLevel(logging.ERROR)  # Beam warns of much that nobody misses


@app.command(**PASSED_ON)
def score(
    output: Annotated[
        str, typer.Option(metavar="PREFIX", help="How the names of the files begin.")
    ],
    words: Words = None,
    format_: Annotated[
        str, typer.Option("--format", help="How to write rows: csv, jsonl or parquet.")
    ] = "csv",
    listed: Annotated[
        str | None, typer.Option("--list", metavar="FILE", help="A file of names, one a line.")
    ] = None,
    predictor: Predictor = "biq2021",
    max_megapixels: Annotated[
        float, typer.Option(help="The largest picture that is read, in millions of pixels.")
    ] = 180.0,
    shards: Annotated[int, typer.Option(min=1, help="The number of files.")] = 1,
) -> None:
    """Score the quality of pictures: 0 is worst, 1 is best.

    The rows are those of `diqa score`. Pictures without a score go to files of their own,
    PREFIX-errors. All files appear when the last picture is scored. Two workers on this machine:

    --direct_num_workers 2 --direct_running_mode multi_processing
    """
    with signals_stop(lambda: "no rows are written"), errors_in_words(tensorflow=False):
        from diqa_utils.beam import scoring

        beam = scoring.beam
        patterns, pipeline = begun(words or [])
        if not patterns and listed is None:
            raise ValueError("There is no picture: name files, or a folder that has some.")
        score_pictures = scoring.ScorePictures(predictor, max_megapixels=max_megapixels)
        score_pictures.handler.load_model()  # says here what each worker would say
        named = pipeline | "patterns" >> beam.Create([os.fsencode(name) for name in patterns])
        sources = [named | beam.FlatMap(scoring.find)]
        if listed is not None:
            lines = beam.io.ReadFromText(listed, coder=beam.coders.BytesCoder())
            sources.append(pipeline | lines | beam.Filter(bool))
        pictures = sources | beam.Flatten() | score_pictures
        pictures.scored | "scores" >> scoring.WriteRows(output, format_, shards=shards)
        pictures.failed | "errors" >> scoring.WriteRows(f"{output}-errors", format_)
        scored, failed, skipped = scoring.count(finished(pipeline))
        typer.echo(f"{scored:,} scored, {failed:,} failed, {skipped:,} skipped.", err=True)
        if failed or not scored:
            raise typer.Exit(1)


@app.command(**PASSED_ON)
def pairs(
    output: Annotated[str, typer.Option(metavar="FOLDER", help="The folder for the set.")],
    words: Words = None,
    squares: Annotated[int, typer.Option(min=1, help="Squares to cut from each picture.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the whole set.")] = 0,
    patch_size: Annotated[int, typer.Option(help="The side of the patches in pixels.")] = 112,
    validation_share: Annotated[
        float, typer.Option(help="The share of the pictures that are held out, about.")
    ] = 0.1,
) -> None:
    """Make a set to pre-train on: damaged patches of pristine pictures, with their maps.

    All of it appears in FOLDER/pairs when the last picture is done. One worker or many write the
    same files.
    """
    with signals_stop(), errors_in_words():
        from diqa_utils.beam.pairs import FAILED, build_pairs

        names, pipeline = begun(words or [])
        if len(names) != 1:
            raise ValueError(f"Name one pattern of pictures, in quotes, not {len(names)}.")
        settings: Any = {"patch_size": patch_size, "validation_share": validation_share}
        count = build_pairs(
            names[0], output, squares=squares, seed=seed, pipeline=pipeline, **settings
        )
        typer.echo(
            f"{count['squares']:,} squares of {count['pictures']:,} pictures written. Left out as "
            f"copies: {count['copies']:,}. Failed: {count['failed']:,}, named in {FAILED}."
        )


def finished(pipeline: "Pipeline") -> Any:
    """Runs a pipeline to its end.

    Raises:
        ValueError: If Beam gives up; its last words are said.
    """
    try:
        result = pipeline.run()
        result.wait_until_finish()  # which fails unless the job is done
    except Exception as error:  # each runner has its own: a whole traceback, as text
        words = (str(error).strip() or repr(error)).splitlines()[-1].rstrip(".")
        raise ValueError(f"Beam gave up: {words}.") from error
    return result


def begun(words: list[str]) -> tuple[list[str], "Pipeline"]:
    """Parts the words of a command: names, and a pipeline with the options, which are Beam's.

    Raises:
        ValueError: If Beam does not know an option.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # a worker is one thread
    parsers: list[Any] = []
    PipelineOptions(words).get_all_options(add_extra_args_fn=parsers.append)
    names = parsers[0].parse_known_args(words)[1]
    if unknown := [name for name in names if name.startswith("--")]:
        raise ValueError(f"Neither this command nor Beam has an option {unknown[0]}.")
    options = PipelineOptions(["--default_sdk_harness_log_level=ERROR", *words])
    standard = options.view_as(StandardOptions)
    if str(standard.runner).lower() in ("none", "direct", "directrunner"):
        standard.runner = "FnApiRunner"  # not Prism, which takes no notice of direct_num_workers
    return names, beam.Pipeline(options=options)


if __name__ == "__main__":
    app()
