"""Builds one Go binary with many skews; the environment variable PLANTED chooses one.

A skew that changes only the bodies of functions becomes a second body of each. Any other skew gets its own binary.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from mutants._binary_skews import ROOT, BinarySkew, go_build, planted

_ENDS = re.compile(r"(?m)^(?=func )|(?<=\n}\n)")
_FUNCTION = re.compile(r"(?P<head>func [^\n]*\{\n)(?P<body>.*\n)\}\n", re.DOTALL)
_RECEIVER = re.compile(r"func (\([^)]*\) )?\w+(\[[^\]]*\])?")


def bodies(skew: BinarySkew) -> dict[int, str]:
    """The bodies that a skew changes, by their place among the pieces of its file; none where it changes more."""
    sound, skewed = (_ENDS.split(text) for text in ((ROOT / skew.file).read_text(), planted(skew)))
    # An engine's own process gets few variables.
    if not skew.file.endswith(".go") or skew.isolated or len(sound) != len(skewed):
        return {}
    found = {}
    for i, (old, new) in enumerate(zip(sound, skewed, strict=True)):
        if old == new:
            continue
        was, now = _FUNCTION.fullmatch(old), _FUNCTION.fullmatch(new)
        if not was or not now or was["head"] != now["head"] or not _nests(now["head"], now["body"]):
            return {}
        found[i] = now["body"]
    return found


def _nests(head: str, body: str) -> bool:
    """Whether a body means the same in a block of its function: no labels, no assignment that would hide a parameter."""
    assigned = " ".join(re.findall(r"(?m)^\t([\w, ]+) :=", body))
    labels = re.search(r"(?m)^\t*(?!default)\w+:$", body)
    return not labels and not set(re.findall(r"\w+", assigned)) & set(re.findall(r"\w+", head))


def answers(head: str) -> bool:
    """Whether a function has results."""
    found = _RECEIVER.match(head)
    assert found
    depth = 0
    for i, c in enumerate(head[found.end() :], found.end()):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return head[i + 1 :] != " {\n"
    raise ValueError(f"its parameters have no end: {head}")


def together(skews: Sequence[BinarySkew], folder: Path) -> dict[str, Path]:
    """Build all skews that can be; return for each, by name, what starts the binary with it."""
    held: dict[str, Path] = {}
    for number, tags in enumerate({skew.tags: None for skew in skews}):
        chosen = {s: b for s in skews if s.tags == tags and (b := bodies(s))}
        if len(chosen) < 2:
            continue
        binary = _build(chosen, tags, folder / f"together-{number}")
        for i, skew in enumerate(chosen):
            script = binary.with_name(f"forgo-{i}")
            script.write_text(f'#!/bin/sh\nPLANTED={shlex.quote(skew.name)} exec {binary} "$@"\n')
            script.chmod(0o755)
            held[skew.name] = script
    return held


def _build(chosen: dict[BinarySkew, dict[int, str]], tags: str | None, folder: Path) -> Path:
    replaced: dict[Path, str] = {}
    for file in {skew.file: None for skew in chosen}:
        source = (ROOT / file).read_text()
        pieces = _ENDS.split(source)
        for skew, changed in chosen.items():
            for i, body in changed.items() if skew.file == file else ():
                head, rest = pieces[i].split("\n", 1)
                leave = "" if answers(f"{head}\n") else "\treturn\n"
                pieces[i] = f"{head}\n\tif planted == {json.dumps(skew.name)} {{\n{body}{leave}\t}}\n{rest}"
        replaced[ROOT / file] = "".join(pieces)
        package = re.search(r"(?m)^package \w+$", source)
        assert package
        variable = f'{package[0]}\n\nimport "os"\n\nvar planted = os.Getenv("PLANTED")\n'
        replaced[(ROOT / file).with_name("planted.go")] = variable
    return go_build(replaced, tags, folder)
