"""A libosdp control panel. See talk.py for the language; PDs are numbered from 0,
in the order of the arguments.

Orders:  {"do": "command", "pd": 0, "id": 1, "name": "LED", ...}
         {"do": "file", "pd": 0, "type": 1, "path": "..."}   send this file
Reports: ready
         event        a PD told something: pd, name, fields
         done         an ordered command was answered, or refused: pd, id, ok
         online       pd, up, when it changes; it is down at first
         secure       pd, up: whether there is a secure channel; likewise
         sent         the file went out: pd, ok, size
"""

import argparse
import collections

import osdp

from talk import COMMANDS, EVENTS, File, Line, Talk, from_libosdp, to_libosdp


def options():
    p = argparse.ArgumentParser()
    p.add_argument("line")
    p.add_argument("pds", nargs="+", metavar="ADDRESS[=SCBK]", help="without a key the PD is spoken to in the clear")
    p.add_argument("--enforce-secure", action="store_true", help="no SCBK-D")
    p.add_argument("--log", type=int, default=osdp.LogLevel.Info)
    return p.parse_args()


class PD:
    """What the panel keeps of one PD."""

    def __init__(self):
        self.commands = collections.deque()  # ids of those not answered yet
        self.file = File()
        self.sending = False
        self.status = {}


class Panel:
    def __init__(self, o):
        self.talk = Talk()
        self.line = Line(o.line)
        flags = [osdp.LibFlag.EnforceSecure] * o.enforce_secure
        infos = []
        for pd in o.pds:
            address, _, key = pd.partition("=")
            infos.append(osdp.PDInfo(int(address), self.line, scbk=bytes.fromhex(key) if key else None, flags=flags))
        self.cp = osdp.ControlPanel(
            infos, log_level=o.log, event_handler=self.event, command_completion_handler=lambda *_: None
        )
        self.cp.ctx.set_command_completion_callback(self.done)  # the wrapper's would give the address as it was
        self.pds = [PD() for _ in infos]

    def event(self, pd, event):
        self.cp.event_queue[pd].get_nowait()
        self.talk.tell("event", pd=pd, **from_libosdp("event", EVENTS, event))
        return 0

    def done(self, pd, command, status):
        self.talk.tell("done", pd=pd, id=self.pds[pd].commands.popleft(), ok=status == osdp.CompletionStatus.Ok)

    def obey(self, order):
        do, pd = order.pop("do"), order.pop("pd")
        if do == "file":
            self.send_file(pd, **order)
            return
        order_id = order.pop("id")
        if self.cp.ctx.submit_command(pd, to_libosdp("command", COMMANDS, order)):
            self.pds[pd].commands.append(order_id)
        else:
            self.talk.tell("done", pd=pd, id=order_id, ok=False)

    def send_file(self, pd, type, path):
        with open(path, "rb") as f:
            self.pds[pd].file.content = bytearray(f.read())
        # One set of file operations serves all PDs of a panel, so it is
        # registered anew for the PD that is to have the file.
        self.cp.ctx.register_file_ops(pd, self.pds[pd].file.ops())
        command = {"command": osdp.Command.FileTransfer, "id": type, "flags": 0}
        self.pds[pd].sending = self.cp.ctx.submit_command(pd, command)
        if not self.pds[pd].sending:
            self.talk.tell("sent", pd=pd, ok=False, size=0)

    def refresh(self):
        self.cp.ctx.refresh()
        online, secure = self.cp.ctx.status(), self.cp.ctx.sc_status()
        for i, pd in enumerate(self.pds):
            self.talk.tell_changes(pd.status, i, online=bool(online >> i & 1), secure=bool(secure >> i & 1))
            if pd.sending:
                self.progress(i, pd)

    def progress(self, i, pd):
        at = self.cp.ctx.get_file_tx_status(i)
        if at is None and pd.file.given == len(pd.file.content):
            return  # the PD is finishing, of which the status says nothing
        if at is None or at["offset"] == at["size"]:
            pd.sending = False
            self.talk.tell("sent", pd=i, ok=at is not None, size=at["offset"] if at else 0)


panel = Panel(options())
panel.talk.run(panel.line, panel.obey, panel.refresh)
