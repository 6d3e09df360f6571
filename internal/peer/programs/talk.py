"""What pd.py and cp.py share: the line, and the talk with whoever started them.

Orders come in on standard input and reports go out on standard output, each one
JSON object a line. A report says in "is" what it tells and in "at" when, in
nanoseconds of the monotonic clock. Commands and replies go by their OSDP names
and have the fields of libosdp's own dicts; bytes are written in hexadecimal.
"""

import hashlib
import json
import os
import select
import sys
import termios
import time
import tty

import osdp

COMMANDS = {
    "OUT": osdp.Command.Output,
    "LED": osdp.Command.LED,
    "BUZ": osdp.Command.Buzzer,
    "TEXT": osdp.Command.Text,
    "COMSET": osdp.Command.Comset,
    "COMSET done": osdp.Command.ComsetDone,
    "KEYSET": osdp.Command.Keyset,
    "MFG": osdp.Command.Manufacturer,
    "FILETRANSFER": osdp.Command.FileTransfer,
    "STATUS": osdp.Command.Status,
}
EVENTS = {
    "RAW": osdp.Event.CardRead,
    "KEYPAD": osdp.Event.KeyPress,
    "MFGREP": osdp.Event.ManufacturerReply,
    "STATUS": osdp.Event.Status,
    "NOTIFICATION": osdp.Event.Notification,
}
BINARY = ("RAW", "KEYPAD", "MFGREP", "STATUS", "KEYSET", "MFG")  # whose data or report are bytes


def name(names, number):
    return next(n for n, i in names.items() if i == number)


def from_libosdp(kind, names, what):
    """Turns a dict of libosdp's into the fields of a report."""
    fields = {k: v.hex() if isinstance(v, bytes) else v for k, v in what.items()}
    return {**fields, "name": name(names, fields.pop(kind))}


def to_libosdp(kind, names, order):
    """Turns an order into a dict of libosdp's."""
    what = dict(order)
    called = what.pop("name")
    if called in BINARY:
        what.update({k: bytes.fromhex(what[k]) for k in ("data", "report") if k in what})
    return {**what, kind: names[called]}


class Line(osdp.Channel):
    """A serial line: the path of its device, or fd:N for a descriptor handed down."""

    def __init__(self, where):
        super().__init__()
        self.id = 1  # PDs on one line must share an id that is not 0
        if where.startswith("fd:"):
            self.fd = int(where[3:])
        else:
            self.fd = os.open(where, os.O_RDWR | os.O_NOCTTY)
        os.set_blocking(self.fd, False)
        tty.setraw(self.fd, termios.TCSANOW)

    def read(self, max_bytes):
        try:
            return os.read(self.fd, max_bytes)
        except OSError:  # nothing there, or nobody at the other end
            return b""

    def write(self, buf):
        try:
            return os.write(self.fd, buf)
        except OSError:
            return -1

    def flush(self):
        termios.tcflush(self.fd, termios.TCIFLUSH)


class Talk:
    def __init__(self):
        # libosdp's wrappers print to standard output, which is ours.
        self.out = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self.held = b""

    def tell(self, what, **fields):
        print(json.dumps({"is": what, "at": time.monotonic_ns(), **fields}), file=self.out)

    def tell_changes(self, was, pd=0, **now):
        """Reports what differs from was, which follows. All is down at first."""
        for what, up in now.items():
            if was.get(what, False) != up:
                was[what] = up
                self.tell(what, pd=pd, up=up)

    def orders(self):
        """Gives what has come in on standard input, which is ready to be read."""
        got = os.read(0, 1 << 16)
        if not got:
            sys.exit(0)  # whoever started us is gone
        *lines, self.held = (self.held + got).split(b"\n")
        return [json.loads(line) for line in lines]

    def run(self, line, obey, refresh):
        """Works the line until standard input ends. libosdp is refreshed when a
        byte has come, and each 5 ms; it takes one frame or one step at a time."""
        self.tell("ready")
        while True:
            ready, _, _ = select.select([line.fd, 0], [], [], 0.005)
            for order in self.orders() if 0 in ready else []:
                obey(order)
            for _ in range(3):
                refresh()


class File:
    """The file operations of one transfer, in memory. Each end of libosdp makes
    do with one file at a time."""

    def __init__(self, closed=None):
        self.content = bytearray()
        self.closed = closed or (lambda file_id, content: None)
        self.given = 0  # bytes that were read to be sent

    def ops(self):
        return {"open": self.open, "read": self.read, "write": self.write, "close": self.close}

    def open(self, file_id, size):
        if size > 0:  # what the other end announces; 0 asks for ours
            self.content = bytearray(size)
            return size
        self.given = 0
        return len(self.content)

    def read(self, size, offset):
        self.given = min(offset + size, len(self.content))
        return bytes(self.content[offset : self.given])

    def write(self, data, offset):
        self.content[offset : offset + len(data)] = data
        return len(data)

    def close(self, file_id):
        self.closed(file_id, self.content)
        return 0


def digest(content):
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
