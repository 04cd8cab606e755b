// Makes a component of celsius.js: `node build.mjs FOLDER OUTPUT`. It runs beside its node_modules.

import { componentize } from "componentize-qjs";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [folder, output] = process.argv.slice(2);
const { component } = await componentize({
  witPath: join(folder, "../../wit/0.1.0/curb-plugin.wit"),
  world: "filter",
  jsSource: readFileSync(join(folder, "celsius.js"), "utf8"),
  stubWasi: true, // a hub refuses a component that imports WASI
  sync: true, // and has no async. The smaller runtime (optSize) has tail calls, which a hub has not either
});

// What `curb check` reads: a custom section behind the component, with its length and that of its name in front.
const text = (string) => new TextEncoder().encode(string);
const leb = (n) => (n < 128 ? [n] : [(n % 128) + 128, ...leb(Math.floor(n / 128))]);
const settings = readFileSync(join(folder, "../settings.json"), "utf8");
const manifest = text(`{"name":"celsius-javascript","version":"1.0.0","settings":${settings}}`);
const name = text("curb-plugin");
const section = [...leb(name.length), ...name, ...manifest];
writeFileSync(`${output}.new`, Buffer.concat([component, Buffer.from([0, ...leb(section.length), ...section])]));
renameSync(`${output}.new`, output);
