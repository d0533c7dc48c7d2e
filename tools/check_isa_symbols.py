#!/usr/bin/env python3
"""Checks that code compiled for one instruction set cannot leak into the rest of a program.

    tools/check_isa_symbols.py build/release

Sources under .../per_isa/ are compiled with the instructions of one set switched on. A function they share with
other sources (an inline function, a template) is a weak symbol, and the linker keeps any one copy: if it keeps the
AVX-512 one, a machine without AVX-512 stops at an illegal instruction. So every weak symbol such an object defines
has to carry the instruction set in its name, through its namespace or a template argument.
"""

import re
import subprocess
import sys
from pathlib import Path

INSTRUCTION_SETS = ("avx2", "avx512", "avx512_streams", "amx", "neon", "i8mm")
# Sets whose own vocabulary begins with another one's: the shared part compiles to the same instructions.
BEGINS_WITH = {"avx512_streams": "avx512", "amx": "avx512"}
# nm's letters for weak definitions: functions, objects, and unique globals (g++'s for inline variables).
WEAK_DEFINITIONS = "WVu"
NM_LINE = re.compile(r"^[0-9a-f]*\s*([A-Za-z])\s(.+)$")
# Data of no code: type descriptions and the names in them are equal whatever the instruction set.
DATA_ONLY = re.compile(r"^(typeinfo|vtable|VTT|guard variable|DW\.ref)\b")


def weak_symbols(objects):
    listing = subprocess.run(["nm", "-C", "--defined-only", *map(str, objects)], check=True, capture_output=True, text=True)
    current = str(objects[0])
    for line in listing.stdout.splitlines():
        if line.endswith(".o:"):
            current = line[:-1]
        elif (match := NM_LINE.match(line)) and match.group(1) in WEAK_DEFINITIONS:
            yield current, match.group(2)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check_isa_symbols.py BUILD_DIR")
    build, n_objects, offenders = Path(sys.argv[1]), 0, []
    for isa in INSTRUCTION_SETS:
        objects = sorted(p for p in build.rglob("*.o") if any(part.endswith(f"_{isa}.dir") for part in p.parts))
        n_objects += len(objects)
        if objects:
            names = "|".join(filter(None, (isa, BEGINS_WITH.get(isa))))
            offenders += [(path, symbol) for path, symbol in weak_symbols(objects)
                          if not re.search(rf"\b({names})", symbol, re.IGNORECASE) and not DATA_ONLY.match(symbol)]
    for path, symbol in offenders:
        print(f"{Path(path).relative_to(build)}: weak symbol without its instruction set: {symbol}")
    if not n_objects:
        print(f"check_isa_symbols: no object of {', '.join(INSTRUCTION_SETS)} under {build}")
        return 1
    if not offenders:
        print(f"check_isa_symbols: {n_objects} objects keep their instruction set to themselves")
    return 1 if offenders else 0


if __name__ == "__main__":
    sys.exit(main())
