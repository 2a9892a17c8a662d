// Measures the npm package ruvector. Commands come as JSON lines on stdin, answers go as JSON lines to stdout; vectors
// lie in files of little-endian float32. Times are taken here, so that no pipe is measured.
"use strict";
const fs = require("node:fs");
const readline = require("node:readline");
const { VectorDB, getVersion } = require("ruvector");

let db = null;
let dimension = 0;
let queries = [];

function* rowsOf(path) {
  const file = fs.openSync(path, "r");
  const stride = dimension * 4;
  const buffer = Buffer.alloc(stride * 1000);
  try {
    for (;;) {
      const bytes = fs.readSync(file, buffer, 0, buffer.length, null);
      if (bytes === 0) return;
      const rows = [];
      for (let start = 0; start < bytes; start += stride) {
        // A copy of its own: the buffer is read into again.
        rows.push(new Float32Array(new Uint8Array(buffer.subarray(start, start + stride)).buffer));
      }
      yield rows;
    }
  } finally {
    fs.closeSync(file);
  }
}

async function load({ rows, metadata, storage, dimensions, asked }) {
  dimension = dimensions;
  db = new VectorDB({ dimensions, storagePath: storage });
  const lines = readline.createInterface({ input: fs.createReadStream(metadata) })[Symbol.asyncIterator]();
  let number = 0;
  let seconds = 0;
  for (const batch of rowsOf(rows)) {
    const entries = [];
    for (const vector of batch) {
      entries.push({ id: String(number), vector, metadata: (await lines.next()).value });
      number += 1;
    }
    const begin = performance.now();
    await db.insertBatch(entries);
    seconds += (performance.now() - begin) / 1000;
  }
  queries = [...rowsOf(asked)].flat();
  return { seconds, count: await db.len(), memory: process.memoryUsage().rss };
}

async function search({ begin, end, budget }) {
  const times = [];
  const found = [];
  let spent = 0;
  for (let number = begin; number < end && spent < budget * 1000; number += 1) {
    const started = performance.now();
    const hits = await db.search({ vector: queries[number], k: 10 });
    const taken = performance.now() - started;
    times.push(taken);
    spent += taken;
    found.push(hits.map((hit) => Number(hit.id)));
  }
  return { times, found };
}

async function throughput({ clients, seconds }) {
  const begin = performance.now();
  let count = 0;
  const client = async (number) => {
    for (let turn = 0; performance.now() - begin < seconds * 1000; turn += 1) {
      await db.search({ vector: queries[(number * 97 + turn) % queries.length], k: 10 });
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  return { rate: count / ((performance.now() - begin) / 1000) };
}

const sizes = async () => ({ memory: process.memoryUsage().rss, version: getVersion(), node: process.version });
const commands = { load, search, throughput, sizes };

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { name, ...given } = JSON.parse(line);
    let answer;
    try {
      answer = await commands[name](given);
    } catch (error) {
      answer = { error: String(error && error.message ? error.message : error) };
    }
    process.stdout.write(`${JSON.stringify({ answer })}\n`);
  }
}

main();
