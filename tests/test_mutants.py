"""Mutants follow the code that they change; make mutants plants them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mutants import __main__ as planting
from mutants._adapter_skews import ADAPTER_SKEWS, AdapterSkew
from mutants._binary_skews import BINARY_SKEWS, ROOT, BinarySkew, planted
from mutants._serve_skews import SERVE_SKEWS
from mutants._swap_skews import SWAP_SKEWS
from mutants._together import answers, bodies
from mutants._torch_skews import TORCH_SKEWS, TorchSkew


@pytest.mark.parametrize("skew", [*BINARY_SKEWS, *SERVE_SKEWS, *SWAP_SKEWS], ids=lambda skew: skew.name)
def test_the_code_that_it_changes_is_there(skew: BinarySkew) -> None:
    assert planted(skew)


@pytest.mark.parametrize(
    "skew", [*(s for s in TORCH_SKEWS if s.file), *ADAPTER_SKEWS], ids=lambda skew: skew.name
)
def test_the_adapters_code_that_it_changes_is_there(skew: TorchSkew | AdapterSkew) -> None:
    source = (ROOT / "src/forgo/exporting" / f"{skew.file}.py").read_text()
    assert source.count(skew.old) == 1
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", "-"]
    planted = source.replace(skew.old, skew.new)
    done = subprocess.run(ruff, input=planted, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout


def test_most_skews_share_a_binary() -> None:
    skews = [*BINARY_SKEWS, *SERVE_SKEWS, *SWAP_SKEWS]
    assert sum(bool(bodies(skew)) for skew in skews) > len(skews) * 2 / 3
    assert len({skew.name for skew in skews}) == len(skews), "a name chooses one"


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("	return 1\n", "	return 2\n", ["	return 2\n"]),
        ("	return 1\n", "	err, n := 2, 3\n	return n\n", []),  # hides a parameter
        ("	return 1\n", "again:\n	goto again\n", []),
        ("err error", "err any", []),
        ("const a = 1", "const a = 2", []),
    ],
)
def test_what_a_skew_changes_beside_bodies_has_a_binary_of_its_own(
    old: str, new: str, changed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.go").write_text("package a\n\nconst a = 1\n\nfunc f(err error) int {\n	return 1\n}\n")
    for module in ("_binary_skews", "_together"):
        monkeypatch.setattr(f"mutants.{module}.ROOT", tmp_path)
    assert list(bodies(BinarySkew("a", "model", "a.go", old, new)).values()) == changed


@pytest.mark.parametrize(
    ("head", "results"),
    [
        ("func f() {", False),
        ("func (t *T[K]) f(a func(int) error, b ...int) {", False),
        ("func (t *T) f(a int) (n int, err error) {", True),
        ("func f[T ~[]int | float](x T) T {", True),
        ("func f(x int) func() {", True),
    ],
)
def test_functions_with_results_are_told_apart(head: str, results: bool) -> None:
    assert answers(f"{head}\n") is results


def declared() -> dict[str, set[str]]:
    """The readers and writers of the Go code, by the folders that declare them."""
    found: dict[str, set[str]] = {}
    for file in ROOT.glob("*/**/*.go"):
        folder = str(file.parent.relative_to(ROOT))
        if folder.startswith(("build", ".venv")):
            continue
        for kind, name in re.findall(r"^//forgo:(reader|writer) (.+)$", file.read_text(), re.MULTILINE):
            found.setdefault(folder, set()).add(f"{kind} {name}")
    return found


def test_every_reader_and_writer_has_its_mutant() -> None:
    planted_in = {s.proves for s in [*BINARY_SKEWS, *SERVE_SKEWS] if s.proves}
    there = set().union(*declared().values())
    assert there - planted_in == set(), "add a skew that proves it"
    assert planted_in - there == set(), "it proves what is not there"


def test_every_protocol_declares_what_it_reads_and_writes() -> None:
    source = (ROOT / "serve/protocols.go").read_text()
    imported = {
        path.rpartition("/")[2]: path for path in re.findall(r'"github\.com/forgo-ml/forgo/(.+)"', source)
    }
    listed = source.partition("return []protocol.Protocol{")[2].partition("}")[0]
    protocols = {imported[name] for name in re.findall(r"(\w+)\.Protocol,", listed)}
    assert {"serve/native", "serve/oip", "serve/tfserving"} <= protocols
    for folder in protocols:
        kinds = {name.split()[0] for name in declared().get(folder, set())}
        assert kinds == {"reader", "writer"}, f"{folder} answers requests, and declares {kinds or 'nothing'}"


def test_the_readme_counts_them() -> None:
    assert f"{len(planting.every())} planted skews" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("verdicts", "code", "said"),
    [
        ({"a": ["model"]}, 0, "mutants: 1 passed, 0 failed"),
        ({"a": ["accepted", "model"], "b": ["model"]}, 0, "FLAKY: a "),
        ({"a": ["accepted", "accepted"]}, 1, "FAILED: a "),
        ({"a": ["label", "label"]}, 1, "MUST BE model"),
        ({name: ["accepted", "model"] for name in "abcd"}, 1, "0 passed, 4 failed"),
    ],
)
def test_a_skew_that_is_not_refused_is_planted_once_more(
    verdicts: dict[str, list[str]],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    skews = [BinarySkew(name, "model", "", "", "") for name in verdicts]
    monkeypatch.setattr(planting, "together", lambda *_: {})
    monkeypatch.setattr(planting, "sound", lambda *_: "")
    monkeypatch.setattr(planting, "attack", lambda skew, *_: (verdicts[skew.name].pop(0), "said"))
    monkeypatch.setattr(planting, "every", lambda: skews)
    monkeypatch.setattr("sys.argv", ["mutants"])
    assert planting.main() == code
    assert said in capsys.readouterr().out
