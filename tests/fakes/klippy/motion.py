"""Motion: straight moves become segments of constant acceleration.

No time passes here. A corner is taken as fast as the square corner velocity allows, and
the speeds of a row of moves are chosen so that the last of them can still stop.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple, Sequence, Tuple

Position = Tuple[float, float, float, float]  # x, y, z, e in mm

# with this factor a right angle has exactly the square corner velocity
CORNER = math.sqrt(2.0) - 1.0


class Segment(NamedTuple):
    """A piece of a move. `start_v` and `accel` are along the direction `*_r`."""

    print_time: float
    move_t: float
    start_v: float
    accel: float
    start_x: float
    start_y: float
    start_z: float
    x_r: float
    y_r: float
    z_r: float

    @property
    def end(self) -> float:
        return self.print_time + self.move_t

    def distance(self, move_t: float) -> float:
        return (self.start_v + 0.5 * self.accel * move_t) * move_t

    def position(self, print_time: float) -> tuple[float, float, float]:
        distance = self.distance(min(max(print_time - self.print_time, 0), self.move_t))
        return (
            self.start_x + self.x_r * distance,
            self.start_y + self.y_r * distance,
            self.start_z + self.z_r * distance,
        )


class TrapQ:
    """The segments of the last half minute and of the near future."""

    HISTORY = 30.0  # seconds, the same as in Klipper

    def __init__(self) -> None:
        self._segments: deque[Segment] = deque()

    def extend(self, segments: list[Segment]) -> None:
        self._segments.extend(segments)

    def forget(self, now: float) -> None:
        """Drop the segments that ended long before the print time *now*."""
        while len(self._segments) > 1 and self._segments[0].end < now - self.HISTORY:
            self._segments.popleft()

    def cut(self, print_time: float) -> None:
        """Drop everything after *print_time*, because it did not happen."""
        while self._segments and self._segments[-1].end > print_time:
            last = self._segments.pop()
            if last.print_time < print_time:
                left = print_time - last.print_time
                self._segments.append(last._replace(move_t=left))
                return

    def between(self, start: float, end: float) -> list[Segment]:
        """Return the segments between *start* and *end* in their order."""
        segments = []
        for segment in reversed(self._segments):
            if segment.end <= start:
                break
            if segment.print_time < end:
                segments.append(segment)
        segments.reverse()
        return segments


class Move:
    """A straight move. Planning gives it its three speeds."""

    def __init__(
        self,
        start: Position,
        end: Position,
        speed: float,
        accel: float,
        extrude_accel: float = 1500.0,
        extrude_speed: float = 120.0,
    ) -> None:
        self.start = start
        self.end = end
        self.delta = tuple(b - a for a, b in zip(start, end))
        self.distance = math.sqrt(sum(d * d for d in self.delta[:3]))
        self.is_kinematic = self.distance > 1e-9
        if not self.is_kinematic:
            self.distance = abs(self.delta[3])
            accel, speed = extrude_accel, min(speed, extrude_speed)
        self.ratio = tuple(
            d / self.distance if self.distance else 0 for d in self.delta
        )
        self.accel = accel
        self.max_v2 = speed * speed
        self.min_time = self.distance / speed
        self.junction_v2 = 0.0
        self.start_v = self.cruise_v = self.end_v = 0.0

    def limit(self, speed: float, accel: float) -> None:
        self.max_v2 = min(self.max_v2, speed * speed)
        self.accel = min(self.accel, accel)
        self.min_time = self.distance / math.sqrt(self.max_v2)

    def join(self, before: Move, corner_velocity: float, extruder_jump: float) -> None:
        """Calculate how fast this move may start right after *before*."""
        if not (self.is_kinematic and before.is_kinematic):
            return
        v2 = min(self.max_v2, before.max_v2)
        cosine = -sum(a * b for a, b in zip(before.ratio[:3], self.ratio[:3]))
        half = math.sqrt(max(0.0, 0.5 * (1.0 - cosine)))
        if half < 0.999999:
            v2 = min(v2, corner_velocity**2 * CORNER * half / (1.0 - half))
        jump = abs(self.ratio[3] - before.ratio[3])
        if jump * math.sqrt(v2) > extruder_jump:
            v2 = (extruder_jump / jump) ** 2
        self.junction_v2 = v2

    def segments(self, print_time: float) -> list[Segment]:
        """Return the way of the carriage from *print_time* on."""
        x_r, y_r, z_r = self.ratio[:3]
        segments = []
        for begin, duration, velocity, accel, done in self._phases(print_time):
            x, y, z = (a + r * done for a, r in zip(self.start, self.ratio[:3]))
            segments.append(
                Segment(begin, duration, velocity, accel, x, y, z, x_r, y_r, z_r)
            )
        return segments

    def filament(self, print_time: float) -> list[Segment]:
        """Return the way of the filament along x.

        Its speed is negative in a retraction.
        """
        r = self.ratio[3]
        return [
            Segment(
                *(begin, duration, velocity * r, accel * r),
                *(self.start[3] + done * r, 0.0, 0.0),
                *(1.0, 0.0, 0.0),
            )
            for begin, duration, velocity, accel, done in self._phases(print_time)
        ]

    @property
    def duration(self) -> float:
        return sum(phase[1] for phase in self._phases(0.0))

    def time_to(self, distance: float) -> float:
        """Return the seconds from the move's start until it has gone *distance*."""
        for begin, duration, velocity, accel, done in self._phases(0.0):
            left = distance - done
            if left <= (velocity + 0.5 * accel * duration) * duration:
                if not accel:
                    return begin + left / velocity
                root = math.sqrt(max(0.0, velocity * velocity + 2.0 * accel * left))
                return begin + (root - velocity) / accel
        return self.duration

    def _phases(
        self, print_time: float
    ) -> list[tuple[float, float, float, float, float]]:
        """Return (begin, duration, start velocity, acceleration, distance before)."""
        up_d = (self.cruise_v**2 - self.start_v**2) / (2.0 * self.accel)
        down_d = (self.cruise_v**2 - self.end_v**2) / (2.0 * self.accel)
        cruise_d = max(0.0, self.distance - up_d - down_d)
        phases = []
        done = 0.0
        for distance, duration, velocity, accel in (
            (
                up_d,
                (self.cruise_v - self.start_v) / self.accel,
                self.start_v,
                self.accel,
            ),
            (cruise_d, cruise_d / self.cruise_v, self.cruise_v, 0.0),
            (
                self.distance - up_d - cruise_d,
                (self.cruise_v - self.end_v) / self.accel,
                self.cruise_v,
                -self.accel,
            ),
        ):
            if duration > 1e-9:
                phases.append((print_time, duration, velocity, accel, done))
                print_time += duration
            done += distance
        return phases


class Planner:
    """Moves that wait until it is known how fast they may end."""

    LOOK_AHEAD = 1.0  # seconds of moves that are enough to know it

    def __init__(self) -> None:
        self._moves: list[Move] = []
        self._start_v2 = 0.0
        self._waiting = 0.0

    def __bool__(self) -> bool:
        return bool(self._moves)

    def add(self, move: Move, corner_velocity: float, extruder_jump: float) -> None:
        if self._moves:
            move.join(self._moves[-1], corner_velocity, extruder_jump)
        self._moves.append(move)
        self._waiting += move.min_time

    def clear(self) -> None:
        self._moves, self._start_v2, self._waiting = [], 0.0, 0.0

    def take_some(self) -> Sequence[Move]:
        """Return the moves whose speeds are certain by now. Often there are none."""
        if self._waiting < self.LOOK_AHEAD or len(self._moves) < 2:
            return ()
        return self._take(max(1, len(self._moves) // 2))

    def take_all(self) -> Sequence[Move]:
        """Return all moves. The last of them ends at rest."""
        return self._take(len(self._moves))

    def _take(self, count: int) -> Sequence[Move]:
        moves = self._moves
        ends = [0.0] * len(moves)  # squared
        for i in range(len(moves) - 1, 0, -1):
            reachable = ends[i] + 2.0 * moves[i].accel * moves[i].distance
            ends[i - 1] = min(moves[i].junction_v2, reachable)
        v2 = self._start_v2
        for move, reachable in zip(moves[:count], ends):
            room = 2.0 * move.accel * move.distance
            end_v2 = min(reachable, v2 + room)
            move.start_v, move.end_v = math.sqrt(v2), math.sqrt(end_v2)
            move.cruise_v = math.sqrt(min(move.max_v2, 0.5 * (v2 + end_v2 + room)))
            # Rounding must not make the cruise slower than both ends.
            move.cruise_v = max(move.cruise_v, move.start_v, move.end_v)
            v2 = end_v2
        taken, self._moves = moves[:count], moves[count:]
        self._start_v2 = v2 if self._moves else 0.0
        self._waiting = sum(move.min_time for move in self._moves)
        return taken
