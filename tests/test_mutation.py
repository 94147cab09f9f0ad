"""scripts/mutation.py draws from the code as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import mutation
from scripts import mutation_mutants as mutants


def test_the_mutations_that_have_names_are_possible() -> None:
    assert len(mutants.named()) == len(mutants.NAMED)


def test_the_mutants_that_stay_are_possible_and_have_reasons() -> None:
    assert all(len(reason) > 20 for reason in mutants.kept().values())


def test_every_package_has_tests_that_are_near() -> None:
    packages = mutants.go_packages()
    assert {"predict", "predict/pure", "serve/oip", "serve/internal/hosts"} <= set(packages)
    assert not [p for p in packages if not mutants.go_tests(p)]


def test_what_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    (tmp_path / "a.go").write_text(
        'package a\n\nvar x = 1 + f("-") // + is kept\n\nfunc g() {\n\tif err != nil {\n\t}\n\tif err != nil {\n\t}\n}\n'
    )
    (tmp_path / "b.py").write_text("x = 1 - f('+')  # - is kept\n")
    found = [m for file in ("a.go", "b.py") for m in mutants.candidates(file)]
    assert [m.code for m in found] == [
        'var x = 1 ⟦+ → -⟧ f("-") // + is kept',
        "if err ⟦!= → ==⟧ nil {",
        "if err ⟦!= → ==⟧ nil { #2",
        "if ⟦err != nil → err != nil && false⟧ {",
        "if ⟦err != nil → err != nil && false⟧ { #2",
        "x = 1 ⟦- → +⟧ f('+')  # - is kept",
    ]
    assert [m.line for m in found] == [3, 6, 8, 6, 8, 1]
    assert found[0].planted() == (tmp_path / "a.go").read_text().replace("1 +", "1 -")


def test_a_result_outlives_a_stop_and_a_second_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mutation, "RESULTS", tmp_path)
    survives, other = list(mutants.candidates("predict/parity.go"))[:2]
    mutation.Log(7).add(survives, "")
    mutation.Log(7).add(other, "TestA")
    mutation.Log(7).add(survives, "TestB")
    results = list(mutation.Log(7).found.values())
    assert [(r["first"], r["by"]) for r in results] == [("", "TestB"), ("TestA", "TestA")]
    assert "| predict | 2 | 1 (50%) | 2 (100%) | 0 |" in mutation.page()
    mutation.Log(8).add(next(iter(mutants.candidates("predict/bounds.go"))), "")
    assert "Seeds 7, 8, 3 mutants" in mutation.page()
    assert "- `predict/bounds.go`: `" in mutation.page()
