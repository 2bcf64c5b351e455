"""The live service's interface fuzzed against its own OpenAPI description: no answer is a fault of the server.

`python -m benchmarks.live_fuzz --schemathesis PATH [--seconds 60]`; PATH is the program of an environment of its own
(`python3 -m venv .venv-fuzz && .venv-fuzz/bin/pip install schemathesis`). Its exit code is that of Schemathesis.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from benchmarks.live import ROOT, free_port, prepare, wait_until_ready

CHECKS = "not_a_server_error,content_type_conformance,status_code_conformance,response_schema_conformance"


def main() -> int:
    """Serves a small home and lets Schemathesis ask it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemathesis", default=".venv-fuzz/bin/schemathesis")
    parser.add_argument("--seconds", type=int, default=60)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        warehouse, rules, key = prepare(Path(folder) / "home", 10)
        address = f"http://127.0.0.1:{(port := free_port())}"
        command = [sys.executable, "-m", "cli", "--home", str(warehouse.home), "--rulebook", str(rules)]
        service = subprocess.Popen([*command, "live", "--port", str(port)], cwd=ROOT)
        try:
            with httpx.Client(base_url=address, timeout=60) as client:
                wait_until_ready(client)
            asking = [args.schemathesis, "run", f"{address}/openapi.json", "--checks", CHECKS]
            asking += ["--header", f"Authorization: Bearer {key}", "--max-time", str(args.seconds), "--seed", "9"]
            return subprocess.run([*asking, "--continue-on-failure"], cwd=folder, check=False).returncode
        finally:
            service.terminate()
            service.wait(120)


if __name__ == "__main__":
    sys.exit(main())
