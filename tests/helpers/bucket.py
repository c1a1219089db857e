"""A bucket in memory, which fsspec and Beam's `FileSystems` can use."""

import io
from datetime import datetime, timezone

import fsspec
from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

SCHEME = "gs://"


class Objects(fsspec.AbstractFileSystem):
    """The part of fsspec's interface that tfmem uses, on objects with their full names."""

    cachable = False

    def __init__(self, objects):
        super().__init__()
        self.objects = objects

    def info(self, path, **kwargs):
        if path in self.objects:
            return {"name": path, "size": len(self.objects[path]), "type": "file"}
        if any(name.startswith(f"{path}/") for name in self.objects):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path, detail=True, **kwargs):
        start = f"{path}/"
        below = {
            name[len(start) :].split("/")[0] for name in self.objects if name.startswith(start)
        }
        if not below:
            raise FileNotFoundError(path)
        return [self.info(start + name) for name in below]

    def modified(self, path):
        return datetime.now(timezone.utc)

    def cat_file(self, path, start=None, end=None, **kwargs):
        self.info(path)
        return self.objects[path][start:end]

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        if mode == "create":
            if self.objects.setdefault(path, value) is not value:
                raise FileExistsError(path)
        else:
            self.objects[path] = value

    def cp_file(self, path1, path2, **kwargs):
        self.info(path1)
        self.objects[path2] = self.objects[path1]

    def rm_file(self, path):
        self.info(path)
        del self.objects[path]

    def open(self, path, mode="rb", **kwargs):
        return io.BytesIO(self.cat_file(path))


class Bucket(FileSystem):
    """The part of Beam's interface that tfmem uses; an object appears when its file is closed."""

    def __init__(self):
        self.objects = {}

    @classmethod
    def scheme(cls):
        return "bucket-of-tests"  # used because it is patched in, not by its scheme

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *(path.strip("/") for path in paths)])

    def split(self, path):
        head, _, tail = path.rpartition("/")
        return head, tail

    def has_dirs(self):
        return False

    def mkdirs(self, path):
        pass

    def _list(self, dir_or_prefix):
        for name in sorted(self.objects):
            if name.startswith(dir_or_prefix):
                yield self.metadata(name)

    def create(self, path, mime_type="application/octet-stream", compression_type="auto"):
        objects = self.objects

        class Upload(io.BytesIO):
            def close(self):
                if not self.closed:
                    objects[path] = self.getvalue()
                super().close()

        return Upload()

    def open(self, path, mime_type="application/octet-stream", compression_type="auto"):
        if path not in self.objects:
            raise BeamIOError(f"{path}: no such object")
        return io.BytesIO(self.objects[path])

    def copy(self, sources, destinations):
        for source, destination in zip(sources, destinations, strict=True):
            self.objects[destination] = self.objects[source]

    def rename(self, sources, destinations):
        for source, destination in zip(sources, destinations, strict=True):
            self.objects[destination] = self.objects.pop(source)

    def exists(self, path):
        return path in self.objects

    def size(self, path):
        return len(self.objects[path])

    def last_updated(self, path):
        return datetime.now(timezone.utc).timestamp()

    def checksum(self, path):
        return str(hash(self.objects[path]))

    def metadata(self, path):
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def delete(self, paths):
        for match in self.match(paths):
            for found in match.metadata_list:
                del self.objects[found.path]


def put_in_place(monkeypatch):
    """Redirects `gs://` names to a bucket in memory, and returns that bucket."""
    from apache_beam.io.filesystems import FileSystems

    bucket, of_beam, of_fsspec = Bucket(), FileSystems.get_filesystem, fsspec.filesystem
    objects = Objects(bucket.objects)
    choose = lambda path: bucket if path.startswith(SCHEME) else of_beam(path)  # noqa: E731
    monkeypatch.setattr(FileSystems, "get_filesystem", staticmethod(choose))
    monkeypatch.setattr(
        fsspec,
        "filesystem",
        lambda name, **more: objects if name == "gs" else of_fsspec(name, **more),
    )
    return bucket
