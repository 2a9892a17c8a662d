"""`load`: bring a file, or the sample catalogue, into the collection."""

from dataclasses import asdict
from typing import Annotated

import typer

from media_gateway.cli.options import BackendOption, JsonOption, examples, place, read_settings
from media_gateway.cli.output import note, print_json
from media_gateway.cli.run import run

LOAD_EXAMPLES = examples(
    "media-gateway load sample",
    "media-gateway load films.jsonl --backend postgres",
    "media-gateway load films.csv --json",
    "media-gateway load vectors.parquet --model text-embedding-3-small",
    "media-gateway load movielens ml-latest-small",
)


def load(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|sample|movielens",
            help="A .jsonl, .ndjson, .parquet, .csv or .npz file, or the word sample or movielens.",
        ),
    ],
    folder: Annotated[
        str | None, typer.Argument(metavar="[DIR]", help="The folder of a MovieLens data set.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="What made the vectors of a file that brings them; by default RUVECTOR_MODEL.", show_default=False
        ),
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune/--no-tune", help="Tune searches on PostgreSQL after a large load, or do not.")
    ] = True,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load films and series from a file, from a MovieLens folder, or the sample catalogue that comes with this program.

    Rows have id, media_type (movie or tv) and title; overview, genre_ids, vote_average, release_date, poster_path and
    anything else as far as they are known. The whole file is checked before anything is written. What is there
    unchanged is left alone, so that loading again is quick.

    A .parquet or .npz file may hold records of any kind with vectors of your own: key, vector and metadata.
    """
    from media_gateway.cli.loading import load as load_source
    from media_gateway.cli.loading import summary
    from media_gateway.cli.progress import LoadProgress

    settings = read_settings(context, backend)
    with LoadProgress() as progress:
        loaded = run(lambda: load_source(settings, source, model, progress, folder=folder, tune=tune))
    if as_json:
        print_json({"source": source, **asdict(loaded), "backend": settings.backend, "place": place(settings)})
        note(f"{'wrote to' if loaded.written else 'nothing was new to'} {place(settings)}")
    else:
        typer.echo(summary(loaded, settings))
