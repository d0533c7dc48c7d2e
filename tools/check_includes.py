#!/usr/bin/env python3
"""Checks who includes whom in src/: the table of rooms, the two halves, quotes and folders.

A room may include the rooms listed for it here and whatever those may include. The half that runs programs never
includes the half that makes them: they meet at `program`, and a process that only runs needs no GGUF reader or compiler.
"""

import re
import sys
from pathlib import Path

ROOMS = {
    "base": [],
    "quant": ["base"],
    "ops": ["base", "quant"],
    "program": ["base", "quant", "ops"],
    "kernels": ["base", "quant", "ops"],
    "runtime": ["program", "kernels", "ops"],
    "text": ["base"],
    "generate": ["runtime", "text"],
    "gguf": ["base", "quant"],
    "safetensors": ["base"],
    "graph": ["base", "quant", "ops"],
    "models": ["gguf", "safetensors", "graph"],
    "compile": ["models", "graph", "gguf", "program", "text"],  # text: it fills the tokenizer tables programs carry
    "cli": ["compile", "generate"],
    "server": ["compile", "generate"],
}
# Folders of a room that another may include although not the room: `compile` writes the Metal texts into programs.
FOLDERS = {"compile": ["kernels/metal"]}
RUN_HALF = {"base", "quant", "ops", "program", "kernels", "runtime", "text", "generate"}
COMPILE_HALF = {"gguf", "safetensors", "graph", "models", "compile"}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def reachable(room):
    """The rooms `room` may include: itself and, transitively, those of the table."""
    allowed, waiting = set(), [room]
    while waiting:
        current = waiting.pop()
        if current not in allowed:
            allowed.add(current)
            waiting += ROOMS[current]
    return allowed


ALLOWED = {room: reachable(room) for room in ROOMS}


def fault(src, path, quoted, angled):
    """What is wrong with one include of the file at `path`, or None."""
    room = path.relative_to(src).parts[0]
    if angled is not None:
        first = angled.split("/")[0]
        return f'<{angled}> is ours: write "{angled}"' if first in ROOMS and (src / angled).exists() else None
    target = quoted.split("/")[0]
    if target not in ROOMS:
        beside_test = path.stem.endswith(("_test", "_testing")) and (src.parent / "tests" / quoted).exists()
        generated = quoted.endswith("_generated.h")
        return None if beside_test or generated else f'"{quoted}" does not start with a room: write "room/file.h"'
    if room in RUN_HALF and target in COMPILE_HALF:
        return f'"{quoted}": {room} runs programs and must not know {target}, which makes them'
    folder = quoted.rpartition("/")[0]
    if target not in ALLOWED[room] and folder not in FOLDERS.get(room, ()):
        return f'"{quoted}": {room} may include only {", ".join(sorted(ALLOWED[room]))}'
    return None


def faults_of(src, path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := INCLUDE.match(line):
            if message := fault(src, path, *match.groups()):
                yield f"{path.relative_to(src.parent)}:{number}: {message}"


def link_faults(cmake_lists):
    """The link table of CMakeLists.txt must not reach further than this one."""
    for name, links in re.findall(r"^tessera_room\((\w+)[^)]*?LINK([^)]*)\)", cmake_lists.read_text(), re.MULTILINE):
        for target in re.findall(r"tessera_(\w+)", links):
            folders = [folder.split("/")[0] for folder in FOLDERS.get(name, ())]
            if target not in ALLOWED.get(name, ()) and target not in folders:
                yield f"{cmake_lists.name}: {name} links {target}, which it may not include"


def main():
    src = Path(__file__).resolve().parent.parent / "src"
    files = sorted(p for p in src.rglob("*") if p.suffix in (".h", ".cpp", ".cu", ".cuh"))
    unknown = sorted({p.relative_to(src).parts[0] for p in files} - ROOMS.keys())
    faults = [f"src/{room}: not a room of the table" for room in unknown]
    for path in files:
        if path.relative_to(src).parts[0] not in unknown:
            faults += faults_of(src, path)
    faults += link_faults(src.parent / "CMakeLists.txt")
    print("\n".join(faults) if faults else f"check_includes: {len(files)} files keep the table")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
