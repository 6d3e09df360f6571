"""A libosdp PD. See talk.py for the language.

Orders:  {"do": "reply", "name": "RAW", ...}   give this to a POLL
Reports: ready
         command      a command was carried out: name, fields
         queued       an ordered reply waits for a POLL: name
         sent         it went out: name, ok
         online       up, when it changes; it is down at first
         secure       up: whether there is a secure channel; likewise
         file         a file has come: type, size, sha256
"""

import argparse

import osdp

from talk import COMMANDS, EVENTS, File, Line, Talk, digest, from_libosdp, to_libosdp


def options():
    p = argparse.ArgumentParser()
    p.add_argument("line")
    p.add_argument("--address", type=int, default=0)
    p.add_argument("--key", type=bytes.fromhex, help="SCBK; without one the PD is in install mode")
    p.add_argument("--install", action="store_true", help="take SCBK-D once, key or not")
    p.add_argument("--enforce-secure", action="store_true")
    p.add_argument("--inputs", type=int, default=0)
    p.add_argument("--outputs", type=int, default=0)
    p.add_argument("--log", type=int, default=osdp.LogLevel.Info)
    return p.parse_args()


def capabilities(o):
    return osdp.PDCapabilities(
        [
            (osdp.Capability.ContactStatusMonitoring, 1, o.inputs),
            (osdp.Capability.OutputControl, 4, o.outputs),
            (osdp.Capability.CardDataFormat, 1, 0),
            (osdp.Capability.LEDControl, 4, 1),
            (osdp.Capability.AudibleControl, 2, 1),
            (osdp.Capability.TextOutput, 1, 1),
            (osdp.Capability.Readers, 0, 1),
        ]
    )


class Device:
    def __init__(self, o):
        self.talk = Talk()
        self.line = Line(o.line)
        flags = [osdp.LibFlag.InstallMode] * o.install + [osdp.LibFlag.EnforceSecure] * o.enforce_secure
        info = osdp.PDInfo(o.address, self.line, scbk=o.key, flags=flags)
        self.pd = osdp.PeripheralDevice(
            info, capabilities(o), log_level=o.log, command_handler=self.command, event_completion_handler=self.sent
        )
        self.pd.ctx.register_file_ops(0, File(self.file).ops())
        self.owed = []
        self.status = {}

    def command(self, command):
        self.talk.tell("command", **from_libosdp("command", COMMANDS, command))
        # libosdp 3.2.9 lets go of the second value once too often, each time;
        # None must not run out of owners.
        self.owed.append(None)
        self.pd.command_queue.get_nowait()
        return 0, None

    def sent(self, event, status):
        event = from_libosdp("event", EVENTS, event)
        self.talk.tell("sent", name=event["name"], ok=status == osdp.CompletionStatus.Ok)

    def file(self, file_id, content):
        self.talk.tell("file", type=file_id, **digest(content))

    def obey(self, order):
        order.pop("do")
        self.pd.ctx.submit_event(to_libosdp("event", EVENTS, order))
        self.talk.tell("queued", name=order["name"])

    def refresh(self):
        self.pd.ctx.refresh()
        self.talk.tell_changes(self.status, online=self.pd.is_online(), secure=self.pd.is_sc_active())


device = Device(options())
device.talk.run(device.line, device.obey, device.refresh)
