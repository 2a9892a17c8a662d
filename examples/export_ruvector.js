// node export_ruvector.js STORAGE_FILE DIMENSION MODEL > export.jsonl: every record of a collection of npm's ruvector.
const { VectorDB } = require('ruvector');
const [storagePath, dimension, model] = process.argv.slice(2);
const db = new VectorDB({ dimensions: Number(dimension), storagePath });
const digits = (number) => (Object.is(number, -0) ? '-0.0' : String(number));
const line = ({ id, vector, metadata }) =>
  `{"id":${JSON.stringify(id)},"vector":[${Array.from(vector, digits)}],"metadata":${JSON.stringify(metadata ?? '{}')}}`;
const all = async () => db.search({ vector: new Float32Array(Number(dimension)).fill(1), k: await db.len() });
const header = JSON.stringify({ media_gateway: { model, dimension: Number(dimension) } });
all().then((records) => [null, ...records].forEach((record) => console.log(record ? line(record) : header)));
