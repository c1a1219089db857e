"""Measures reading, decoding, cropping and scaling photographs against decoding them only.

Both sides read the same TFRecord file, whose JPEG files have the size of ImageNet's (500x375 or
375x500). The other side is `tf.data.TFRecordDataset` and `tf.io.decode_jpeg` with AUTOTUNE; tfmem
returns batches of 224x224 pixels in a given order, by TensorFlow's decoder, or, as runs on JAX do,
by Pillow's.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measured import Record, recording
from benchmarks.measured import seconds as in_seconds

SIDES = (500, 375)


def photographs(count):
    """Returns JPEG files of quality 95 with scaled parts of scikit-learn's two photographs."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    sources = [Image.fromarray(image) for image in load_sample_images().images]
    files = []
    for number in range(count):
        size = SIDES if number % 3 else SIDES[::-1]
        share = rng.uniform(0.6, 0.85)
        width, height = (round(share * side) for side in size)
        left, top = int(rng.integers(0, 641 - width)), int(rng.integers(0, 428 - height))
        part = (left, top, left + width, top + height)
        file = io.BytesIO()
        image = sources[number % 2].resize(size, Image.Resampling.BICUBIC, box=part)
        image.save(file, "JPEG", quality=95)
        files.append(file.getvalue())
    return files


def stored(files, path):
    """Writes `files` as records to `path`; returns a streamed data set with them as both splits."""
    from tfmem.datasets import StreamedDataset
    from tfmem.datasets.record_index import index_records
    from tfmem.store.records import encode_example, write_records

    with open(path, "wb") as file:
        write_records(file, (encode_example({"image": jpeg, "label": 0}) for jpeg in files))
    start = time.perf_counter()
    images, labels = index_records("photographs", "train", [str(path)], [len(files)], set(), 1)
    print(f"index: {len(files) / (time.perf_counter() - start):.0f} records/s")
    return StreamedDataset("photographs", images, labels, images, labels, ("0",), 224, 256)


def decode_only(path):
    """Returns a `tf.data` pipeline that reads the file in order and decodes every image."""
    import tensorflow as tf

    def decode(record):
        features = {"image": tf.io.FixedLenFeature([], tf.string)}
        return tf.io.decode_jpeg(tf.io.parse_single_example(record, features)["image"])

    records = tf.data.TFRecordDataset(str(path))
    return records.map(decode, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def seconds(batches):
    """Returns the seconds of one pass over `batches`, by the clock and of all processors."""
    start, before = time.perf_counter(), time.process_time()
    for _ in batches:
        pass
    return time.perf_counter() - start, time.process_time() - before


def main():
    """Prints the images a second and the ratio of times of each way, as medians over rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000, help="images a round")
    parser.add_argument(
        "--rounds", type=int, default=11, help="rounds, in which the ways take turns"
    )
    parser.add_argument("--batch", type=int, default=64, help="images a batch")
    recording(parser)
    arguments = parser.parse_args()
    count, rng = arguments.images, np.random.default_rng(0)

    with tempfile.TemporaryDirectory() as folder:
        os.environ["TFMEM_CACHE"] = folder
        path = Path(folder) / "photographs.tfrecord"
        dataset = stored(photographs(count), path)
        from tfmem.datasets import pipeline, reading

        def ours(reader, boxes):
            order = rng.permutation(count)
            return reader.read_batches(dataset, "train", order, arguments.batch, boxes)

        ways = {
            "decoding only": lambda: decode_only(path),
            "centre": lambda: ours(pipeline, None),
            "random-resized": lambda: ours(pipeline, rng.random((count, 4), np.float32)),
            "centre, on JAX": lambda: ours(reading, None),
            "random-resized, on JAX": lambda: ours(reading, rng.random((count, 4), np.float32)),
        }
        times = {name: [] for name in ways}
        for turn in range(arguments.rounds + 1):
            for name, way in ways.items():
                took = seconds(way())
                if turn:  # the first round is slower and does not count
                    times[name].append(took)
    times, processors = (
        {name: [each[kind] for each in taken] for name, taken in times.items()} for kind in (0, 1)
    )
    peer = times["decoding only"]
    record = Record("input", settings={"images": count, "rounds": arguments.rounds})
    for name, taken in times.items():
        ratios = [a / b for a, b in zip(taken, peer, strict=True)]
        record.say(
            name,
            images_a_second=count / statistics.median(taken),
            images_a_processor_second=count / statistics.median(processors[name]),
            least_and_most=[in_seconds(min(taken)), in_seconds(max(taken))],
            time_over_decoding_only=statistics.median(ratios),
        )
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
