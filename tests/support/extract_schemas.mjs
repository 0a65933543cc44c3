// Writes the JSON schema of every MCP revision into a folder, one file each, taken out of the conformance suite.
//
//   node extract_schemas.mjs <node_modules>/@modelcontextprotocol/conformance/dist/index.js <folder>
//
// The suite carries the four schemas as object literals in its bundle. Names in a bundle change from release to
// release, so they are found by how they begin, and the revision is told by a definition that only it has.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';

const [bundle, folder] = process.argv.slice(2);
const source = readFileSync(bundle, 'utf8');
const begins = /=(\{\$schema:`[^`]+`,(?:definitions|\$defs):\{Annotations:)/g;

const told = [
  ['2026-07-28', (names) => names.includes('DiscoverResult')],
  ['2025-11-25', (names) => names.includes('Task')],
  ['2025-06-18', (names) => names.includes('ElicitRequest')],
  ['2025-03-26', (names) => names.includes('JSONRPCBatchRequest')],
];

/** The object literal that begins at `start`: up to its closing brace, strings skipped. */
function literal(start) {
  let depth = 0;
  for (let at = start; at < source.length; at += 1) {
    const character = source[at];
    if (character === '`' || character === "'" || character === '"') {
      at += 1;
      while (source[at] !== character) at += source[at] === '\\' ? 2 : 1;
    } else if (character === '{') depth += 1;
    else if (character === '}') {
      depth -= 1;
      if (depth === 0) return source.slice(start, at + 1);
    }
  }
  throw new Error('an object literal without an end');
}

mkdirSync(folder, { recursive: true });
const found = new Set();
for (const match of source.matchAll(begins)) {
  const schema = runInNewContext(`(${literal(match.index + 1)})`, {});
  const names = Object.keys(schema.definitions ?? schema.$defs);
  const version = told.find(([, tells]) => tells(names))?.[0];
  if (version !== undefined && !found.has(version)) {
    found.add(version);
    writeFileSync(join(folder, `${version}.json`), JSON.stringify(schema));
  }
}
const missing = told.map(([version]) => version).filter((version) => !found.has(version));
if (missing.length > 0) throw new Error(`no schema found for ${missing.join(', ')}`);
