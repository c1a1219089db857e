"""Claims by which programs divide the work in a shared folder, so that no two do the same work.

A claim is a small file that names its owner and never changes. The owner shows that it is alive by
a file of its own, `alive-OWNER`, which it writes anew again and again. If the owner has not written
it for two minutes, or the file does not exist, the owner's claims are void. A program that slept
for that long does not get back what another program has taken.

Claims of shards only save work: every program that trains a shard writes the same records, so a
claim that is overlooked does no harm.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from tfmem.messages.errors import InputError
from tfmem.store.files import temporary_name
from tfmem.store.folders import Folder
from tfmem.store.owners import is_gone, is_owner, new_owner, process_number

_BEAT_SECONDS = 20.0
_VOID_SECONDS = 120.0
_LOOKS = 20  # attempts to take a claim that others take and release at the same time
_ALIVE = "alive-"
_EARLIER = "clock-"  # the names of files by which earlier versions told the time begin with this


@dataclass(frozen=True)
class Worker:
    """One of several programs that train the trials of one run.

    Attributes:
      number: number of this program; it decides with which shards the program begins.
      count: number of programs.
    """

    number: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Worker:
        """Reads `3/64`; numbers may begin at 0 or at 1.

        Raises:
          InputError: if the text does not have that form.
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


class Holder(NamedTuple):
    """A program that holds a claim: its name, its machine, and its identity."""

    name: str
    host: str
    owner: str

    @classmethod
    def parse(cls, claim: str) -> Holder | None:
        """Reads the contents of a claim; None if no version of tfmem writes such contents."""
        parts = claim.split(" ")
        return cls(parts[0], parts[1], parts[-1]) if len(parts) in (3, 4) else None

    @property
    def where(self) -> str:
        """Says in which process on which machine the program runs."""
        process = process_number(self.owner)
        return f"process {process} on {self.host}" if process else f"a process on {self.host}"

    def __str__(self) -> str:
        return f"{self.name} ({self.where})"


class Claims:
    """The claims in a folder, as one program sees and makes them."""

    def __init__(self, folder: Folder, name: object) -> None:
        """Names the folder of the claims, which is made when the block begins.

        Args:
          folder: where the claims are.
          name: the name of this program, without spaces.
        """
        self._folder = folder
        self._owner = new_owner()
        self._mine = f"{name} {socket.gethostname()} {self._owner}"
        self._held: set[str] = set()
        self._ahead = 0.0  # seconds by which the folder's clock is ahead of this process's
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, daemon=True)

    def __enter__(self) -> Claims:
        self._folder.make()
        self._beat()
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
        with contextlib.suppress(InputError):
            for name in sorted(self._held):
                self._take_away(name, self._mine)
        with contextlib.suppress(InputError):  # if it cannot be removed, it grows old
            self._folder.remove(_ALIVE + self._owner)

    def take(self, name: str) -> bool:
        """Claims something, unless another program holds it.

        Raises:
          InputError: if the folder cannot be written to.
        """
        with self._lock:
            there = self._read(name)
            if there is not None and there != self._mine and self._is_void(name, there):
                self._take_away(name, there)
                there = None
            if there is None:
                there = self._create(name)
            if there != self._mine:
                return False
            self._held.add(name)
            return True

    def release(self, name: str) -> bool:
        """Gives a claim back; returns whether this program still held it."""
        with self._lock:
            self._held.discard(name)
            return self._take_away(name, self._mine)

    def holds(self, name: str) -> bool:
        """Whether this program still holds a claim; False if it slept and another took it."""
        with self._lock:
            return name in self._held and self._read(name) == self._mine

    def holder(self, name: str) -> Holder | None:
        """The other program that holds a claim; None if no other program holds it."""
        with self._lock:
            there = self._read(name)
            if there is None or there == self._mine or self._is_void(name, there):
                return None
            return Holder.parse(there)

    def clear(self) -> None:
        """Removes the claims, and other files, of programs that are gone."""
        with self._lock:
            for name in self._folder.names():
                if name.startswith((_ALIVE, _EARLIER)):
                    owner = name.removeprefix(_ALIVE)
                    if owner != self._owner and (is_gone(owner) or not self._is_recent(name)):
                        self._folder.remove(name)
                elif not name.startswith("."):
                    there = self._read(name) or self._mine
                    if there != self._mine and self._is_void(name, there):
                        self._take_away(name, there)
        self._folder.remove_temporary()

    def _read(self, name: str) -> str | None:
        try:
            return self._folder.read(name).decode(errors="replace")
        except FileNotFoundError:
            return None

    def _create(self, name: str) -> str:
        """Writes a claim unless there is one; returns the contents of the claim afterwards."""
        for _ in range(_LOOKS):
            try:
                return self._folder.create(name, self._mine.encode()).decode(errors="replace")
            except FileNotFoundError:  # released just now; or the folder was removed
                self._folder.make()
        raise InputError(f"{self._folder.path(name)}: cannot be written")

    def _take_away(self, name: str, there: str) -> bool:
        """Removes a claim if its contents are still `there`; returns whether they were.

        Only one program at a time removes claims, so that no program removes a claim that another
        one has just made. A bucket has no locks; there a claim that was wrongly removed is put
        back.
        """
        with self._folder.alone():
            return self._read(name) == there and self._move_away(name, there)

    def _move_away(self, name: str, there: str) -> bool:
        aside = temporary_name(name)
        try:
            self._folder.rename(name, aside)
            found = self._folder.read(aside)
        except FileNotFoundError:  # another program was faster
            return False
        if found.decode(errors="replace") != there:  # in a bucket: another claim, just made
            with contextlib.suppress(FileNotFoundError):
                self._folder.create(name, found)
        self._folder.remove(aside)
        return found.decode(errors="replace") == there

    def _is_void(self, name: str, there: str) -> bool:
        holder = Holder.parse(there)
        if holder is None or is_gone(holder.owner):
            return True
        # Earlier versions wrote the claim itself again and again.
        sign = _ALIVE + holder.owner if is_owner(holder.owner) else name
        if self._is_recent(sign):
            return False
        self._beat()  # if this machine slept, its clock may be behind
        return not self._is_recent(sign)

    def _is_recent(self, name: str) -> bool:
        """Whether a file was written within two minutes.

        A file with a date in the future does not count: it would count for as long as the date is
        ahead.
        """
        now = time.monotonic() + self._ahead
        date = self._folder.modified(name)
        return date is not None and abs(now - date) < _VOID_SECONDS

    def _keep_beating(self) -> None:
        while not self._stop.wait(_BEAT_SECONDS):
            with contextlib.suppress(InputError):  # it may fail for a moment
                self._beat()

    def _beat(self) -> None:
        """Shows that this program is alive, and reads the clock of the folder."""
        name = _ALIVE + self._owner
        self._folder.write(name, b"")
        date = self._folder.modified(name)
        self._ahead = (time.time() if date is None else date) - time.monotonic()
