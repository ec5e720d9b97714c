// Tests of the grammar, with the tokeniser that VS Code uses:
//   1. the marks in test/samples/*.kdl;
//   2. no sample whose name begins with "spec" holds a mistake or an unknown node name;
//   3. every node and property of stdlib/schema.kdl is known at its place.
// Run: node editors/vscode/test/run.mjs (after npm ci in editors/vscode).

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRequire } from "node:module";
import { checkSchema } from "./schema.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../../..");
const require = createRequire(import.meta.url);

async function loadGrammar() {
  const oniguruma = require("vscode-oniguruma");
  const { Registry, parseRawGrammar } = require("vscode-textmate");
  await oniguruma.loadWASM(readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm")).buffer);
  const path = join(here, "../syntaxes/k8orc-kdl.tmLanguage.json");
  const registry = new Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async () => parseRawGrammar(readFileSync(path, "utf8"), path),
  });
  return { grammar: await registry.loadGrammar("source.k8orc"), start: require("vscode-textmate").INITIAL };
}

const { grammar, start } = await loadGrammar();

/** Lines of `text`, each a list of { start, end, text, scopes }. */
function tokenise(text) {
  let state = start;
  return text.split("\n").map((line) => {
    const result = grammar.tokenizeLine(line, state);
    state = result.ruleStack;
    return result.tokens.map(({ startIndex, endIndex, scopes }) => ({
      start: startIndex,
      end: Math.min(endIndex, line.length),
      text: line.slice(startIndex, endIndex),
      scopes,
    }));
  });
}

const failures = [];
let checked = 0;

/** `a.b` is a scope of the token when one of its scopes is `a.b` or begins with `a.b.`. */
const has = (token, scope) => token.scopes.some((s) => s === scope || s.startsWith(scope + "."));

// A mark is a comment line:   //   ^^^ scope   every marked column of the line above has the scope;
//   with "!scope" none has it; "//<- scope" means column 0; "//2 ^^^ scope" the second line above, not
//   counting marks (for lines within strings and blocks of comments, where no mark can stand).
const MARK = /^\s*\/\/(\d*)(<-|\s*\^+)\s+(!?)([\w.-]+)\s*$/;

function checkMarks(name, text) {
  const lines = text.split("\n");
  const tokens = tokenise(text);
  const code = [];
  let marks = 0;
  lines.forEach((line, number) => {
    const mark = MARK.exec(line);
    if (!mark) return void code.push(number);
    marks += 1;
    const [, above, what, not, scope] = mark;
    const target = code.at(-Number(above || 1));
    const columns = what === "<-" ? [0] : [...line].flatMap((c, i) => (c === "^" ? [i] : []));
    for (const column of columns) {
      checked += 1;
      const token = tokens[target].find((t) => t.start <= column && column < t.end);
      if (!token) {
        failures.push(`${name}:${number + 1}: nothing stands above column ${column + 1}`);
      } else if (has(token, scope) === Boolean(not)) {
        failures.push(
          `${name}:${target + 1}:${column + 1}: “${token.text}” ${not ? "should not have" : "lacks"} ${scope}; ` +
            `it has ${token.scopes.slice(1).join(" ")}`,
        );
      }
    }
  });
  if (marks === 0) failures.push(`${name}: holds no mark`);
  return tokens;
}

function checkClean(name, tokens) {
  tokens.forEach((line, number) => {
    for (const token of line) {
      checked += 1;
      const bad = token.scopes.find((s) => s.startsWith("invalid.") || s.startsWith("entity.name.tag"));
      if (bad) failures.push(`${name}:${number + 1}:${token.start + 1}: “${token.text}” is ${bad}`);
    }
  });
}

const samples = join(here, "samples");
for (const name of readdirSync(samples).sort()) {
  const tokens = checkMarks(name, readFileSync(join(samples, name), "utf8"));
  if (name.startsWith("spec")) checkClean(name, tokens);
}

const schema = join(root, "stdlib/schema.kdl");
if (existsSync(schema)) {
  checked += checkSchema(readFileSync(schema, "utf8"), tokenise, has, failures);
} else {
  console.error("grammar: stdlib/schema.kdl is not there yet; its names were not compared");
}

if (failures.length > 0) {
  console.error(failures.map((f) => `grammar: ${f}`).join("\n"));
  console.error(`grammar: ${failures.length} of ${checked} checks failed`);
  process.exit(1);
}
console.log(`grammar: ${checked} checks passed`);
