#!/usr/bin/env python3
"""Runs the tests of a build folder and ends with one line: `N passed, N failed`.

    tools/run_tests.py build/release --checks            every test program, the source checks, the command line test
    tools/run_tests.py build/tsan --only base,runtime --filter '*Thread*'

As many run side by side as there are processors (--jobs). A googletest case, a source check and a case of the
command line test count one each. A test program that dies counts one failure for the case it died in. Skipped cases
(missing reference data) are named in a line of their own.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 900


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def run(command, environment=None):
    """(exit status, output) with stdout and stderr together; a hung program has status 124."""
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=TIMEOUT_S, env={**os.environ, **(environment or {})})
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as expired:
        return 124, (expired.stdout or b"").decode(errors="replace") + f"\nstopped after {TIMEOUT_S} s\n"


def report(name, tally, seconds, output):
    skipped = f", {tally.skipped} skipped" if tally.skipped else ""
    print(f"{'FAIL' if tally.failed else 'ok':4} {name:24} {tally.passed} passed, {tally.failed} failed{skipped} ({seconds:.1f} s)",
          flush=True)
    if tally.failed:
        print(output.rstrip(), flush=True)


def count_cases(result_file):
    tally, skipped = Tally(), []
    for suite in json.loads(Path(result_file).read_text())["testsuites"]:
        for case in suite["testsuite"]:
            if case.get("failures"):
                tally.failed += 1
            elif case.get("result") == "SKIPPED":
                skipped.append(f"{suite['name']}.{case['name']}")
            elif case.get("result") == "COMPLETED":
                tally.passed += 1
    tally.skipped = len(skipped)
    return tally, skipped


def run_test_program(program, name_filter, emulator):
    with tempfile.TemporaryDirectory() as folder:
        result_file = f"{folder}/result.json"
        command = emulator.split() + [str(program), f"--gtest_output=json:{result_file}", "--gtest_brief=1"]
        status, output = run(command + ([f"--gtest_filter={name_filter}"] if name_filter else []))
        if not os.path.exists(result_file):
            return Tally(failed=1), [], f"{output}\n{program.name} ended with status {status} before its report"
        tally, skipped = count_cases(result_file)
    if status and not tally.failed:
        tally.failed = 1
        output += f"\n{program.name} ended with status {status} although its cases passed"
    return tally, skipped, output


def run_check(command, environment=None):
    """One case, or as many as the command's last line `N passed, N failed` says."""
    status, output = run(command, environment)
    counts = re.search(r"(\d+) passed, (\d+) failed\s*$", output)
    tally = Tally(int(counts.group(1)), int(counts.group(2))) if counts else Tally(passed=1 if status == 0 else 0)
    if status and not tally.failed:
        tally.failed = 1
    return tally, [], output


def timed(job):
    name, function, arguments = job
    start = time.monotonic()
    result = function(*arguments)
    return name, result, time.monotonic() - start


def source_checks(build):
    yield "includes", [sys.executable, "tools/check_includes.py"], None
    yield "headers", [sys.executable, "tools/check_headers.py", str(build)], None
    yield "format", ["tools/check_format.sh"], None
    yield "isa symbols", [sys.executable, "tools/check_isa_symbols.py", str(build)], None
    yield "run half", ["tools/check_run_half.sh", str(build)], None
    yield "command line", ["tests/cli_test.sh", str(build / "tessera")], {"TESSERA": str(build / "tessera")}
    yield "translate_metal", ["tests/translate_metal_test.sh", str(build / "translate_metal")], None


def test_programs(build, only):
    names = [f"{name}_test" for name in only.split(",")] if only else []
    found = sorted(p for p in build.glob("*_test") if p.is_file() and os.access(p, os.X_OK))
    missing = [name for name in names if name not in {p.name for p in found}]
    if missing or not found:
        sys.exit(f"run_tests: {', '.join(missing) or 'no test program'} not built in {build}")
    return [p for p in found if not names or p.name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--checks", action="store_true", help="run the source checks and the command line test as well")
    parser.add_argument("--only", default="", help="rooms, separated by commas")
    parser.add_argument("--filter", default="", help="googletest's filter, for every program")
    parser.add_argument("--emulator", default="", help="command in front of every test program, e.g. 'qemu-aarch64 -L ...'")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="programs side by side")
    args = parser.parse_args()
    build, total, all_skipped = args.build.resolve(), Tally(), []

    jobs = [(p.name, run_test_program, (p, args.filter, args.emulator)) for p in test_programs(build, args.only)]
    if args.checks:
        jobs += [(name, run_check, (command, environment)) for name, command, environment in source_checks(build)]
    with ThreadPoolExecutor(args.jobs) as pool:  # each waits for a process of its own
        for name, (tally, skipped, output), seconds in pool.map(timed, jobs):
            report(name, tally, seconds, output)
            total.add(tally)
            all_skipped += skipped
    if all_skipped:
        print(f"skipped {total.skipped}: {' '.join(all_skipped)}")
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
