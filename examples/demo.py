"""The whole workflow on real handwritten digits: train, verify, predict, serve (``make demo``)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent
HERE = ROOT / "build" / "demo"
FORGO = str(Path(sys.executable).with_name("forgo"))


def step(title: str) -> None:
    print(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n== {title}", flush=True)


def run(*arguments: str) -> None:
    print("$ forgo " + " ".join(arguments), flush=True)
    start = time.monotonic()
    subprocess.run([FORGO, *arguments], cwd=HERE, check=True)
    print(f"  ({time.monotonic() - start:.1f} s)", flush=True)


def serve_and_ask(picture: str) -> None:
    command = ["serve", "digits.forgo", "--http", "127.0.0.1:0", "--grpc", "off", "--admin", "off"]
    print("$ forgo " + " ".join(command), flush=True)
    start = time.monotonic()
    server = subprocess.Popen([FORGO, *command], cwd=HERE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        url = ""
        for line in server.stderr:
            if '"url":' in line:  # its log is JSON where it is no terminal's
                url = json.loads(line)["url"]
                break
        if not url:
            raise SystemExit("the server did not start")
        print(f"  ready after {time.monotonic() - start:.2f} s, parity replayed", flush=True)
        print(f"$ curl --data-binary @{picture} '{url}/models/digits?top=3'", flush=True)
        request = urllib.request.Request(f"{url}/models/digits?top=3", data=(HERE / picture).read_bytes())
        with urllib.request.urlopen(request, timeout=10) as answer:
            print(answer.read().decode().strip(), flush=True)
    finally:
        server.terminate()
        code = server.wait(timeout=40)
    print(f"  SIGTERM: the server stopped with exit code {code}", flush=True)
    if code != 0:
        raise SystemExit("the server did not stop cleanly")


def main() -> None:
    start = time.monotonic()
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    step("1. Real data: scikit-learn's 1,797 handwritten digits, as folders of pictures")
    subprocess.run([sys.executable, ROOT / "examples" / "digits.py", HERE / "digits"], check=True)
    for part in ("train", "valid", "test"):
        print(f"  {part}: {len(list((HERE / 'digits' / part).rglob('*.png')))} pictures")
    step("2. Train in Python; the bundle is written only when Go gives the same answers")
    run("train", "digits", "-o", "digits.forgo", "--image-size", "32")
    step("3. Prove it again, in Go alone")
    run("verify", "digits.forgo")
    step("4. Predict pictures that training never saw")
    pictures = [
        str(sorted((HERE / "digits" / "test" / c).iterdir())[0].relative_to(HERE))
        for c in ("three", "seven", "eight")
    ]
    run("predict", "digits.forgo", *pictures)
    step("5. Serve them")
    serve_and_ask(pictures[1])
    print(f"\nAll of it took {time.monotonic() - start:.0f} s. How to go on:")
    print("  look at     build/demo/digits.forgo/report.html")
    print("  your data   .venv/bin/forgo train FOLDER -o NAME.forgo   (FOLDER/CLASS/*.jpg)")
    print("  from Go     see the program in README.md")


if __name__ == "__main__":
    main()
