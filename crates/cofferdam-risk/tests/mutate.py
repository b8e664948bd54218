"""Mutation testing of the pricing kernel and the decision, with one build for all mutants.

Copies the crate, turns every function body of the files below into a choice among itself and its mutants (one changed
operator, comparison, constant or `Ok` condition each), selected by the environment variable MUTANT, builds the library's tests
and the golden tests once, and runs them once per mutant. A mutant is killed when a test fails or the run takes too long.

    python tests/mutate.py [--every N] [--seconds S]     N: take every Nth mutant; S: stop starting mutants after S seconds
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

CRATE = pathlib.Path(__file__).resolve().parent.parent
FILES = ["decision.rs", "door.rs", "fusion.rs", "stopping.rs", "pricing/black.rs", "pricing/greeks.rs", "pricing/implied.rs",
         "pricing/linear.rs", "pricing/settlement.rs"]
SWAPS = [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (" < ", " <= "), (" <= ", " < "), (" > ", " >= "),
         (" >= ", " > "), (" == ", " != "), (" && ", " || "), (" || ", " && "), (".max(", ".min("), (".min(", ".max("),
         ("1.0", "2.0"), ("0.5", "0.25"), ("2.0 *", "3.0 *"), ("-libm::", "libm::")]
PROBE = "crate::mutant::is("
TIMEOUT = 60


def bodies(text):
    """Spans of function bodies outside tests, by brace matching."""
    end = text.find("#[cfg(test)]")
    text = text if end < 0 else text[:end]
    for m in re.finditer(r"\bfn \w+", text):
        if "const fn" in text[max(0, m.start() - 12):m.start() + 3]:
            continue
        i = text.find("{", m.end())
        semicolon = text.find(";", m.end())
        if i < 0 or (0 <= semicolon < i and text[m.end():i].count("[") == 0):
            continue
        depth = 0
        for j in range(i, len(text)):
            depth += {"{": 1, "}": -1}.get(text[j], 0)
            if depth == 0:
                yield i, j + 1
                break


def mutants_of(body):
    for old, new in SWAPS:
        for m in re.finditer(re.escape(old), body):
            line_start = body.rfind("\n", 0, m.start()) + 1
            line = body[line_start:body.find("\n", m.start())]
            if line.lstrip().startswith(("//", "#[")) or '"' in line:
                continue
            yield body[:m.start()] + new + body[m.end():], f"{old.strip()} -> {new.strip()} in: {line.strip()}"


def instrument(source, name, first, banned, every):
    text = source
    spans = list(bodies(text))
    # Innermost functions would be copied into their parents' mutants: keep outermost spans only.
    spans = [s for s in spans if not any(o[0] < s[0] and s[1] < o[1] for o in spans)]
    table, counter, pieces, last = {}, first, [], 0
    for start, stop in spans:
        body = text[start:stop]
        choice = ""
        for mutated, what in mutants_of(body):
            counter += 1
            if counter % every or counter in banned:
                continue
            table[counter] = f"{name}: {what}"
            choice += f"if {PROBE}{counter}) {mutated} else /*{counter}*/ "
        pieces.append(text[last:start])
        pieces.append("{" + choice + body + "}" if choice else body)
        last = stop
    return "".join(pieces) + text[last:], table, counter


def build(work, banned, every):
    table, counter = {}, 0
    for name in FILES:
        source = (CRATE / "src" / name).read_text()
        text, some, counter = instrument(source, name, counter, banned, every)
        (work / "src" / name).write_text(text)
        table.update(some)
    return table


def cargo(work, *args, env=None):
    # A workspace of its own would lack the shared manifest: the copy sits beside the original.
    return subprocess.run(["cargo", *args], cwd=work, env={**os.environ, **(env or {})}, capture_output=True, text=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e9)
    options = parser.parse_args()
    began = time.time()
    root = pathlib.Path(tempfile.mkdtemp(prefix="cofferdam-mutants-"))
    repository = CRATE.parent.parent
    work = root / "crates/cofferdam-risk"
    shutil.copytree(CRATE, work)
    manifest = (repository / "Cargo.toml").read_text()
    manifest = re.sub(r"members = .*", 'members = ["crates/cofferdam-risk"]', manifest)
    manifest = re.sub(r"default-members = .*\n", "", manifest)
    manifest = re.sub(r"^cofferdam-(?!risk).*\n", "", manifest, flags=re.M)
    manifest = re.sub(r'\[profile\.dev\.package\."?(?!\*)[\w-]+"?\]\nopt-level = \d\n', "", manifest)
    (root / "Cargo.toml").write_text(manifest + "\n[profile.dev.package.cofferdam-risk]\nopt-level = 1\ndebug-assertions = false\n")
    shutil.copy(repository / "Cargo.lock", root / "Cargo.lock")
    lib = (work / "src/lib.rs").read_text()
    probe = '''
#[allow(missing_docs)]
pub mod mutant {
    pub fn is(n: u32) -> bool {
        use std::sync::OnceLock;
        static CHOSEN: OnceLock<u32> = OnceLock::new();
        *CHOSEN.get_or_init(|| std::env::var("MUTANT").ok().and_then(|m| m.parse().ok()).unwrap_or(0)) == n
    }
}
'''
    (work / "src/lib.rs").write_text(lib + probe)
    banned = set()
    while True:
        table = build(work, banned, options.every)
        done = cargo(work, "test", "--offline", "--no-run", "--lib", "--test", "golden_pricing", "--test", "golden_decision",
                     "--test", "metamorphic", "--message-format", "json")
        bad = set()
        programs = []
        for line in done.stdout.splitlines():
            message = json.loads(line) if line.startswith("{") else {}
            if message.get("reason") == "compiler-artifact" and message.get("executable"):
                programs.append(message["executable"])
            if message.get("reason") != "compiler-message" or message["message"]["level"] != "error":
                continue
            for span in message["message"]["spans"]:
                path = work / span["file_name"] if not span["file_name"].startswith("/") else pathlib.Path(span["file_name"])
                path = path if path.exists() else root / span["file_name"]
                if not span["is_primary"] or not path.exists():
                    continue
                # The mutant whose copy encloses the span: the last probe before it.
                before = path.read_bytes()[:span["byte_start"]].decode(errors="ignore")
                probes = re.findall(re.escape(PROBE) + r"(\d+)\)", before)
                if probes:
                    bad.add(int(probes[-1]))
        if done.returncode == 0:
            break
        if not bad - banned:
            print(done.stderr[-2000:])
            raise SystemExit(1)
        banned |= bad
    print(f"{len(table)} mutants, {len(banned)} more do not compile; built after {time.time() - began:.0f} s", flush=True)
    quick = ["--test-threads", "2"]
    for program in programs:
        subprocess.run([program, *quick], cwd=work, env={**os.environ, "MUTANT": "0"}, capture_output=True, check=True)
    killed, survivors, untried = 0, [], 0
    for number, what in table.items():
        if time.time() - began > options.seconds:
            untried += 1
            continue
        dead = False
        for program in programs:
            try:
                run = subprocess.run([program, *quick], cwd=work, capture_output=True, timeout=TIMEOUT,
                                     env={**os.environ, "MUTANT": str(number), "PROPTEST_CASES": "48", "CARGO_MANIFEST_DIR": str(CRATE)})
                dead = run.returncode != 0
            except subprocess.TimeoutExpired:
                dead = True
            if dead:
                break
        killed += dead
        if not dead:
            survivors.append(what)
            print("survives:", what, flush=True)
    tried = killed + len(survivors)
    print(f"{killed} of {tried} killed ({100 * killed / max(tried, 1):.1f} %), {untried} not tried; {time.time() - began:.0f} s")
    shutil.rmtree(root, ignore_errors=True)


main()
