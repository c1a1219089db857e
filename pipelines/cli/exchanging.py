"""Commands that read and write the file formats of other projects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress

from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say, tell, warn
from tfmem.pipelines.cli.commands import command
from tfmem.pipelines.cli.options import (
    DataDir,
    DatasetName,
    RunFolder,
    dataset_settings,
    done,
)

if TYPE_CHECKING:
    pass

Format = Literal["pairs-npz", "matrices-npz", "demo-npz", "lds", "parquet", "csv"]


@command(
    "tfmem export runs/digits --format pairs-npz --file pairs.npz",
    "tfmem export runs/digits --format matrices-npz --file infl_matrix.npz",
    "tfmem export runs/digits --format parquet --out tables --with-influence",
    "tfmem export runs/digits --format lds --file subsets.npz",
    renamed={"--influence": "--with-influence"},
)
def export(
    folder: RunFolder,
    form: Annotated[
        Format,
        typer.Option("--format", help="The format to write, as above.", show_default=False),
    ],
    file: Annotated[
        Path | None, typer.Option(help="The npz file to write.", metavar="FILE", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the tables.", show_default=False)
    ] = None,
    with_influence: Annotated[
        bool,
        typer.Option(
            "--with-influence",
            help="With parquet or csv: also write a table of influence, one row for each pair.",
        ),
    ] = False,
) -> None:
    """Write estimates in the formats of the paper's authors, or as Parquet or CSV.

    pairs-npz: the selected pairs as arrays tr_idx, tt_idx, infl and mem. matrices-npz: one matrix
    of influence for each class, with one row for each training example. demo-npz: memorization and
    one matrix of influence, with one row for each test example; pairs of different classes are not
    estimated and are NaN. lds: subsets with their hashes, and outputs of their models, by which
    other tools judge attributions. parquet, csv: one table of memorization and one of the selected
    pairs.
    """
    from tfmem.exchange import export

    if form.endswith("-npz") and out and not file:
        tell(f"note: --out is now called --file with --format {form}")
        file, out = out, None
    wanted, place = ("--out", out) if form in ("parquet", "csv") else ("--file", file)
    if place is None or (file and out):
        raise InputError(f"--format {form}: expected {wanted} and no other place")
    written = export(folder, form, place, with_influence)
    done(place, "" if written == [place] else ", ".join(path.name for path in written))


@command(
    "tfmem publish runs/digits --out digits-memorization --licence CC-BY-4.0",
)
def publish(
    folder: RunFolder,
    out: Annotated[
        Path,
        typer.Option(help="The folder to make, new or empty.", show_default=False),
    ],
    licence: Annotated[
        str | None,
        typer.Option(
            help="Licence of the numbers, such as CC-BY-4.0. By default none is stated.",
            show_default=False,
        ),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(help="Title of README.md. By default it names the data.", show_default=False),
    ] = None,
) -> None:
    """Write one folder with a run's estimates that others can cite, and read without tfmem.

    It holds memorization, influence and pairs with errors as Parquet and npz, the index of each
    example in other orders of the data set, hashes of all subsets, settings and versions, a
    README.md that says what each number means, and checksums of all files.
    """
    from tfmem.exchange.publication import publish as write

    written = write(folder, out, licence, title, warn)
    done(out, ", ".join(path.name for path in written))


@command(
    "tfmem import imagenet-resnet50/0.7 --labels imagenet_index.npz --out predictions",
    "tfmem import checkpoints/0.7 --dataset mnist --data-dir mnist --out predictions",
    "tfmem estimate 'predictions/*.tfrecord' --labels predictions/labels.npz --out estimates",
    name="import",
)
def import_(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder that holds the files aux_arrays.npz, at any depth.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the prediction records.", show_default=False)
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="A labels.npz, or another npz file with arrays tr_labels and tt_labels.",
            show_default=False,
        ),
    ] = None,
    dataset: DatasetName = None,
    data_dir: DataDir = None,
) -> None:
    """Import the predictions of released checkpoints, so that `tfmem estimate` can read them.

    Each checkpoint has one aux_arrays.npz. Labels must be in the same order as its arrays: for
    ImageNet the order of imagenet_index.npz; for CIFAR the order in which TFDS stores examples,
    which is not the official one.
    """
    from tfmem.datasets import load
    from tfmem.exchange import import_checkpoints, read_labels
    from tfmem.store.labels import Labels

    if (labels and dataset) or (data_dir and not dataset):
        raise InputError("expected either --labels or --dataset; --data-dir goes with --dataset")
    known = read_labels(labels) if labels else None
    if dataset:
        data = load(dataset_settings(dataset, data_dir))
        known = Labels(data.train_labels, data.test_labels, data.class_names, data.fingerprint)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("runs")
        found = import_checkpoints(
            folder, out, known, lambda done, of: bar.update(task, completed=done, total=of)
        )
    say(
        f"{found.trials} trials on {found.subset_size:,} of {found.num_train:,} training examples, "
        f"{found.num_test:,} test examples"
    )
    say(
        f"accuracy: {found.subset_accuracy:.2%} on subsets, {found.held_out_accuracy:.2%} on the "
        f"other training examples, {found.test_accuracy:.2%} on test examples"
    )
    if found.label_p_value > 1e-3:
        warn(
            f"test accuracy differs between the classes of these labels no more than by chance "
            f"(p = {found.label_p_value:.2g}): are they in the order of the runs' index?"
        )
    done(out, "prediction records" + (" and labels.npz" if known else " without labels.npz"))
