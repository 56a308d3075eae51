// Runs one Python file at a time, away from the page, so that an endless loop can be ended.
"use strict";
let python = null;

async function start(folder) {
  importScripts(`${folder}pyodide.js`);
  const ready = await loadPyodide({ indexURL: folder });
  const say = (words) => postMessage({ kind: "line", words });
  ready.setStdout({ batched: say });
  ready.setStderr({ batched: say });
  return ready;
}

// A file runs as a program. A wrong answer is an AssertionError, whose words say why; of another
// error the reader is told the line. What it printed has come before.
const RUN = `
import sys, traceback, types

def run(source):
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        exec(compile(source, "exercise.py", "exec"), module.__dict__)
    except AssertionError as wrong:
        return "Not yet: " + str(wrong)
    except BaseException as wrong:
        last = traceback.extract_tb(wrong.__traceback__)[-1]
        line = getattr(wrong, "lineno", None) or last.lineno
        return f"{type(wrong).__name__} in line {line}: {wrong}"
    return ""

run(source)
`;

onmessage = async ({ data }) => {
  try {
    python ??= start(data.folder);
    const ready = await python;
    ready.globals.set("source", data.source);
    postMessage({ kind: "end", words: ready.runPython(RUN) });
  } catch (error) {
    postMessage({ kind: "broken", words: String(error).trim().split("\n").at(-1) });
  }
};
