"""Which worker is at work on which shard, so that no two do the same work.

A claim is a small file that its holder touches while it works; one that has not been touched for
two minutes is void. Claims only save work: whoever trains a shard writes the same records, so that
a claim that is overlooked does no harm.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from dataclasses import dataclass
from types import TracebackType

from tfmem.errors import InputError
from tfmem.training.storage import Folder

_TOUCH_SECONDS = 20.0
_VOID_SECONDS = 120.0


@dataclass(frozen=True)
class Worker:
    """One of several programs that train the trials of one run.

    Attributes:
      number: which one; `number % count` decides which shards it begins with.
      count: how many there are.
    """

    number: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Worker:
        """Reads `3/64`; numbers may begin at 0 or at 1.

        Raises:
          InputError: if it is not of that form.
        """
        number, _, count = text.partition("/")
        if (
            not (number.isdecimal() and count.isdecimal())
            or int(number) > int(count)
            or count == "0"
        ):
            raise InputError(f"--worker: expected NUMBER/COUNT such as 3/64, received {text!r}")
        return cls(int(number) % int(count), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


class Claims:
    """The claims of the workers of a run, as one of them sees and makes them."""

    def __init__(self, folder: Folder, worker: Worker) -> None:
        """Opens the claims in a folder, which is made."""
        self._folder = folder
        self._holder = f"{worker} {_machine()} {os.getpid()} {uuid.uuid4().hex}"
        self._writer = f"{worker.number}-of-{worker.count}"
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_touching, daemon=True)

    def __enter__(self) -> Claims:
        self._folder.make()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        for name in sorted(self._held):
            self._folder.remove(name)
        self._folder.remove(self._clock)

    @property
    def _clock(self) -> str:
        return f"clock-{self._writer}"

    def take(self, shard: int) -> bool:
        """Claims a shard, unless another worker holds it."""
        name = f"{shard:05d}"
        with self._lock:
            if self._other(name):
                return False
            try:
                self._touch(name)
            except InputError:  # another worker, when all is done, removes unfinished files
                self._touch(name)
            self._held.add(name)
        return True

    def release(self, shard: int) -> None:
        """Gives a shard back."""
        name = f"{shard:05d}"
        with self._lock:
            self._held.discard(name)
            self._folder.remove(name)

    def holder(self, shard: int) -> str:
        """The other worker that holds a shard, as `number/count`; empty if none does."""
        with self._lock:
            return self._other(f"{shard:05d}")

    def clear(self) -> bool:
        """Removes claims that are void, and unfinished ones if no other worker holds anything.

        Returns:
          Whether no other worker holds anything.
        """
        with self._lock:
            names = [name for name in self._folder.names() if name.isdecimal()]
            void = [name for name in names if name not in self._held and not self._other(name)]
            for name in void:
                self._folder.remove(name)
            alone = len(void) == len([name for name in names if name not in self._held])
            if alone:
                self._folder.remove_temporary()
            return alone

    def _other(self, name: str) -> str:
        touched = self._folder.modified(name)
        if touched is None:
            return ""
        try:
            holder = self._folder.read(name).decode(errors="replace")
        except FileNotFoundError:  # released just now
            return ""
        if holder == self._holder or _is_dead(holder):
            return ""
        self._folder.write(self._clock, b"")  # read from the same clock
        now = self._folder.modified(self._clock) or touched
        return holder.split(" ")[0] if now - touched < _VOID_SECONDS else ""

    def _names_held(self) -> list[str]:
        with self._lock:
            return sorted(self._held)

    def _keep_touching(self) -> None:
        while not self._stop.wait(_TOUCH_SECONDS):
            for name in self._names_held():
                with self._lock:
                    if name not in self._held:
                        continue
                    with contextlib.suppress(InputError):  # it may fail for a moment
                        self._touch(name)

    def _touch(self, name: str) -> None:
        self._folder.write(name, self._holder.encode())


def _machine() -> str:
    """The machine, or the container, in which process numbers mean what they say."""
    try:
        return f"{socket.gethostname()}-{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _is_dead(holder: str) -> bool:
    """Whether a holder was a process of this machine that is no more, or is no holder at all."""
    parts = holder.split(" ")
    if len(parts) != 4 or not parts[2].isdecimal():
        return True
    if parts[1] != _machine():
        return False
    try:
        os.kill(int(parts[2]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
