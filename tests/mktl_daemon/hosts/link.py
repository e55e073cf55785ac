"""An Ethernet network between namespaces, with delay, loss, a rate, and cut cables.

``python link.py p0 p1 ...`` connects these interfaces as a switch would. Each line of
input is a JSON object that changes the faults: ``delay`` (seconds, each way), ``loss``
(of a frame, each way), ``rate`` (bits per second, for each cable), ``cut``
(interfaces). Each line is answered with ``done``. Not every kernel has netem, so this
program does without it.
"""

import ctypes
import fcntl
import heapq
import itertools
import json
import random
import select
import socket
import struct
import sys
import time

ETH_P_ALL = 3
OUTGOING = 4  # PACKET_OUTGOING: a packet that this program has sent
BACKLOG = 1.0  # seconds of frames that may wait for a cable: more are lost
SIOCETHTOOL = 0x8946
# These features would join frames or leave out checksums, and such frames would cross
# as they are.
OFFLOADS = (0x17, 0x1F, 0x24, 0x2C)  # checksums, and large frames of three kinds


def send_small_frames(interface):
    """Make the kernel send the frames to *interface* that a cable would carry."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for command in OFFLOADS:
            value = (ctypes.c_uint32 * 2)(command, 0)
            address = ctypes.addressof(value)
            request = struct.pack("16sP8x", interface.encode(), address)
            fcntl.ioctl(probe, SIOCETHTOOL, request)


class Switch:
    def __init__(self, interfaces):
        self.sockets = {name: _open(name) for name in interfaces}
        self.delay, self.loss, self.rate, self.cut = 0.0, 0.0, 0.0, []
        self._chance = random.Random(1)
        self._waiting = []
        self._order = itertools.count()
        self._free_at = dict.fromkeys(interfaces, 0.0)  # when a cable is free again

    def run(self):
        names = {made.fileno(): name for name, made in self.sockets.items()}
        poll = select.poll()
        for descriptor in (*names, sys.stdin.fileno()):
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll(self._patience()):
                if descriptor in names:
                    self._take(names[descriptor])
                elif not self._obey(sys.stdin.readline()):
                    return
            self._deliver()

    def _obey(self, line):
        if line:
            vars(self).update(json.loads(line))
            print("done", flush=True)  # noqa: T201
        return bool(line)

    def _patience(self):
        if not self._waiting:
            return None
        return max(0.0, self._waiting[0][0] - time.monotonic()) * 1000

    def _take(self, origin):
        for _ in range(256):
            try:
                frame, address = self.sockets[origin].recvfrom(70000)
            except OSError:  # there are no more frames, or the host is gone
                return
            if address[2] == OUTGOING or origin in self.cut:
                continue
            for name in self.sockets:
                if name != origin and name not in self.cut:
                    self._forward(frame, name)

    def _forward(self, frame, name):
        now = time.monotonic()
        begin = max(now, self._free_at[name])
        if self._chance.random() < self.loss or begin - now > BACKLOG:
            return
        takes = len(frame) * 8 / self.rate if self.rate else 0.0
        self._free_at[name] = begin + takes
        due = begin + takes + self.delay
        heapq.heappush(self._waiting, (due, next(self._order), name, frame))

    def _deliver(self):
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, _, name, frame = heapq.heappop(self._waiting)
            if name not in self.cut:
                try:
                    self.sockets[name].send(frame)
                except OSError:
                    continue  # a full cable loses the frame too


def _open(interface):
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
    made.bind((interface, 0))
    made.setblocking(False)
    return made


if __name__ == "__main__":
    if sys.argv[1] == "small":
        for name in sys.argv[2:]:
            send_small_frames(name)
    else:
        switch = Switch(sys.argv[1:])
        print("ready", flush=True)  # noqa: T201
        switch.run()
