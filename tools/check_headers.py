#!/usr/bin/env python3
"""Compiles every header of src/ alone, so that none leans on what its includer happened to include first.

    tools/check_headers.py [BUILD_DIR]

A header that some source includes before anything else, as x.cpp does x.h, the build has compiled alone already. With a
build folder, the result is remembered there: a header is compiled again only when it, or any header of src/ it includes,
has changed.
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
N_PARALLEL = 2
COMMAND = ["g++", "-std=gnu++20", "-fsyntax-only", "-w",
           f"-I{SRC}", f"-I{ROOT / 'tests'}", "-x", "c++-header"]
# A header of one instruction set's vocabulary is written with that set switched on.
ISA_FLAGS = {"avx2": ["-mavx2", "-mfma", "-mf16c", "-mbmi2"]}
ISA_FLAGS["avx512"] = ISA_FLAGS["avx2"] + ["-mavx512" + part for part in ("f", "bw", "dq", "vl", "vnni", "vbmi")]
FOREIGN = {"x86_64": {"neon"}}.get(os.uname().machine, {"avx2", "avx512"})
GENERATED = re.compile(r'^#include "\w+_generated\.h"', re.MULTILINE)  # of a build folder
FIRST_INCLUDE = re.compile(r'\A(?:\s|//[^\n]*\n)*#include "([^"]+)"')
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def newest_change(header, seen):
    """The latest modification time of the header and of all of ours it includes."""
    if header in seen or not header.exists():
        return 0.0
    seen.add(header)
    times = [newest_change(SRC / name, seen) for name in INCLUDE.findall(header.read_text(encoding="utf-8"))]
    return max([header.stat().st_mtime, *times])


def compile_alone(header, build):
    flags = [flag for isa, flags in ISA_FLAGS.items() if isa in header.parts for flag in flags]
    if build:
        flags.append(f"-I{build / 'generated'}")
    done = subprocess.run([*COMMAND, *flags, str(header)], capture_output=True, text=True)
    return done.returncode, done.stderr


def main():
    build = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    remembered = build / "checked_headers.json" if build else None
    checked = json.loads(remembered.read_text()) if remembered and remembered.exists() else {}
    headers = [h for h in sorted(SRC.rglob("*.h")) if not FOREIGN & set(h.relative_to(SRC).parts)]
    if not build:
        headers = [h for h in headers if not GENERATED.search(h.read_text(encoding="utf-8"))]
    firsts = (FIRST_INCLUDE.match(source.read_text(encoding="utf-8")) for source in SRC.rglob("*.cpp"))
    compiled = {SRC / first.group(1) for first in firsts if first}
    headers = [h for h in headers if h not in compiled]
    times = {str(h.relative_to(ROOT)): newest_change(h, set()) for h in headers}
    waiting = [h for h in headers if checked.get(str(h.relative_to(ROOT))) != times[str(h.relative_to(ROOT))]]
    n_failed = 0
    with ThreadPoolExecutor(N_PARALLEL) as pool:
        for header, (status, output) in zip(waiting, pool.map(lambda h: compile_alone(h, build), waiting)):
            name = str(header.relative_to(ROOT))
            if status:
                n_failed += 1
                checked.pop(name, None)
                print(f"{name} does not compile alone:\n{output}")
            else:
                checked[name] = times[name]
    if remembered:
        build.mkdir(parents=True, exist_ok=True)
        remembered.write_text(json.dumps(checked, indent=0))
    if not n_failed:
        print(f"check_headers: {len(headers)} headers compile alone ({len(waiting)} compiled now), {len(compiled)} come first in a source")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
