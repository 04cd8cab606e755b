// The example in JavaScript: tells each temperature in degrees Celsius as well, marks those above a limit, and refuses what is no
// number. ../rust and ../c do the same, under one and the same test; what is in ../python no hub runs.
//
// There is no clock, no randomness and no console: they are WASI's, and calling one ends the plugin.

import { log } from "curb:plugin/log@0.1.0";
import { counterAdd } from "curb:plugin/metrics@0.1.0";
import { declare } from "curb:plugin/points@0.1.0";

// Uncertain, reason range; see `quality` in the contract.
const GOOD = 0, OUT_OF_RANGE = (5 << 2) | 1;
// The kinds of values of the contract.
const NONE = 0, INTEGER = 2, FLOAT = 3;

// Times are numbers here, which are exact up to 2^53 ns: the first 104 days of a hub. Behind them one may be rounded up, and nothing
// may be told of a time that is not there yet: so it is told half a microsecond early.
const told = (time) => (time > Number.MAX_SAFE_INTEGER ? time - 512 : time);

let limit;
const points = new Map(); // by id: name, and the point that is told beside it

const columns = (rows) => ({
  points: rows.map((row) => row.point),
  times: rows.map((row) => row.time),
  values: rows.map((row) => row.value),
  kinds: rows.map(() => FLOAT),
  quality: rows.map((row) => row.quality),
  others: [],
});

export const transform = {
  // What is thrown is an error of the contract: a text for the operator.
  init({ config, inputs }) {
    limit = JSON.parse(config).limit;
    if (typeof limit !== "number") throw "limit: expected a number, in degrees Fahrenheit";
    for (const { id, name } of inputs) {
      points.set(id, { name, own: declare(name.replaceAll("/", "-"), "Cel", "values", "data") });
    }
    return { tickMs: 0 };
  },

  process(now, readings) {
    const keep = [], remark = [], rejects = [], added = [];
    for (let row = 0; row < readings.points.length; row++) {
      const { name, own } = points.get(readings.points[row]);
      const kind = readings.kinds[row];
      let quality = readings.quality[row];
      if (kind === NONE) { // bad: there is nothing to tell in other degrees
        keep.push(row);
      } else if (kind === INTEGER || kind === FLOAT) {
        const fahrenheit = readings.values[row];
        if (fahrenheit > limit && quality === GOOD) {
          log("warn", `${name} is above the limit`);
          quality = OUT_OF_RANGE;
          remark.push({ row, quality });
        } else {
          keep.push(row);
        }
        added.push({ point: own, time: told(readings.times[row]), value: ((fahrenheit - 32) * 5) / 9, quality });
      } else {
        rejects.push({ row, reason: "expected a number" });
      }
    }
    if (remark.length > 0) counterAdd("above", remark.length);
    // What is added comes in the order of its times; a batch need not be in it.
    added.sort((one, other) => (one.time < other.time ? -1 : one.time > other.time ? 1 : 0));
    return { keep, add: columns(added), remark, rejects };
  },

  tick: () => columns([]),
  finish: () => columns([]),
};
