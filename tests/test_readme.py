"""The README promises only what works: its program runs, and so do its commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BUNDLES, ROOT, TrainedBundle, forgo

README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_go_program_prints_the_label(tmp_path: Path, digits: TrainedBundle) -> None:
    (program,) = re.findall(r"```go\n(package main.*?)```", README, flags=re.DOTALL)
    (tmp_path / "main.go").write_text(program)
    (tmp_path / "go.mod").write_text(
        (ROOT / "go.mod").read_text().replace("module github.com/forgo-ml/forgo", "module example.com/hello")
    )
    with (tmp_path / "go.mod").open("a") as f:
        f.write(f"\nrequire github.com/forgo-ml/forgo v0.0.0\nreplace github.com/forgo-ml/forgo => {ROOT}\n")
    shutil.copy(ROOT / "go.sum", tmp_path)
    (tmp_path / "digits.forgo").symlink_to(digits.bundle)
    shutil.copy(sorted((digits.pictures / "seven").iterdir())[0], tmp_path / "seven.png")
    done = subprocess.run(
        [ROOT / "scripts/go.sh", "run", "-mod=mod", "."],
        cwd=tmp_path,
        env={**os.environ, "VIRTUAL_ENV": sys.prefix},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "seven"


def test_commands_that_it_shows_exist() -> None:
    documents = ["CONTRIBUTING.md", "ARCHITECTURE.md", "docs/coming-from-a-go-predictor.md"]
    text = README + "".join((ROOT / document).read_text() for document in documents)
    targets = set(re.findall(r"`make (\w+)", text))
    makefile = (ROOT / "Makefile").read_text()
    assert targets >= {"demo", "test", "check", "mutants"}
    for target in targets:
        assert f"\n{target}:" in makefile, target
    shown = "\n".join(re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)).replace("\\\n", " ")
    helps: dict[str, str] = {}
    for verb, arguments in re.findall(r"forgo (\w+)(.*)", shown):
        if verb not in helps:
            done = forgo(verb, "--help", env={**os.environ, "COLUMNS": "200"})
            assert done.code == 0, verb
            helps[verb] = done.out
        for option in re.findall(r" (--?[a-z][\w-]*)", arguments):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", helps[verb]), (verb, option)
    assert helps.keys() >= {"train", "export", "predict", "serve", "verify", "inspect", "doctor"}


def test_paths_that_the_documents_name_exist() -> None:
    documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "spec/bundle.md"]
    for document in [*documents, *(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md"))]:
        for path in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / document).read_text()):
            assert (ROOT / document).parent.joinpath(path).exists(), (document, path)


def test_tests_that_the_reasons_name_exist() -> None:
    page = (ROOT / "docs/why.md").read_text()
    goes = [
        p
        for folder in ("client", "cmd", "internal", "predict", "serve")
        for p in (ROOT / folder).rglob("*_test.go")
    ]
    sources = "".join(p.read_text() for p in goes)
    rows = [line.rpartition(" | ")[2] for line in page.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 10
    for row in rows:
        tests = row.removesuffix(" |").split(", ")
        for test in tests:
            if test.startswith("Test"):
                assert f"func {test}(" in sources, test
            else:
                file, _, name = test.partition("::")
                assert f"def {name}(" in (ROOT / file).read_text(), test


def test_the_specification_names_every_key_of_the_schema() -> None:
    import json

    schema = json.loads((ROOT / "spec/manifest.schema.json").read_text())
    text = (ROOT / "spec/bundle.md").read_text()
    for key in [
        *schema["properties"],
        *schema["$defs"]["case"]["properties"],
        *schema["$defs"]["tensor"]["properties"],
    ]:
        assert f"`{key}`" in text, key


def test_the_committed_bundles_load() -> None:
    for name in ("shapes", "iris"):
        assert forgo("verify", BUNDLES / f"{name}.forgo").code == 0
