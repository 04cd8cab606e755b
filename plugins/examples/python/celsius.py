"""The example in Python: tells each temperature in degrees Celsius as well, marks those above a limit, and refuses what is no number.

No hub runs it: plugins/README.md says what stands in the way. ../rust, ../c and ../javascript do the same. There is no clock, no file
and no socket, and `random` gives the same numbers each time.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.transform import Plan
from wit_world.imports import log, metrics, points
from wit_world.imports.log import Level
from wit_world.imports.points import Class
from wit_world.imports.types import Columns, Emission, Mark, Reject

# Uncertain, reason range; see `quality` in the contract.
GOOD, OUT_OF_RANGE = 0, 5 << 2 | 1
# The kinds of values of the contract.
NONE, INTEGER, FLOAT = 0, 2, 3

# Each call gets a `Transform` of its own, so what lasts is kept here.
settings = {}
names = {}  # by point: its name, and the point that is told beside it


def columns(rows):
    """Rows of time, point, value and quality, in the order of their times, as the contract has them: a batch need not be in it."""
    rows = sorted(rows, key=lambda row: row[0])
    return Columns(
        points=[point for _, point, _, _ in rows],
        times=[time for time, _, _, _ in rows],
        values=[value for _, _, value, _ in rows],
        kinds=bytes([FLOAT] * len(rows)),
        quality=bytes(quality for _, _, _, quality in rows),
        others=[],
    )


class Transform(exports.Transform):
    # `Err` is an error of the contract: a text for the operator.
    def init(self, s):
        settings.update(json.loads(s.config))
        if not isinstance(settings.get("limit"), (int, float)):
            raise Err("limit: expected a number, in degrees Fahrenheit")
        for point in s.inputs:
            names[point.id] = (point.name, points.declare(point.name.replace("/", "-"), "Cel", "values", Class.DATA))
        return Plan(tick_ms=0)

    def process(self, now, readings):
        keep, remark, rejects, added = [], [], [], []
        rows = zip(readings.points, readings.times, readings.values, readings.kinds, readings.quality)
        for row, (point, time, fahrenheit, kind, quality) in enumerate(rows):
            name, own = names[point]
            if kind == NONE:  # bad: there is nothing to tell in other degrees
                keep.append(row)
            elif kind in (INTEGER, FLOAT):
                if fahrenheit > settings["limit"] and quality == GOOD:
                    log.log(Level.WARN, f"{name} is above the limit")
                    quality = OUT_OF_RANGE
                    remark.append(Mark(row, quality))
                else:
                    keep.append(row)
                added.append((time, own, (fahrenheit - 32) * 5 / 9, quality))
            else:
                rejects.append(Reject(row, "expected a number"))
        if remark:
            metrics.counter_add("above", len(remark))
        return Emission(keep=keep, add=columns(added), remark=remark, rejects=rejects)

    def tick(self, now):
        return columns([])

    def finish(self, now):
        return columns([])
