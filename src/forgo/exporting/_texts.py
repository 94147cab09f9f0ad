"""Corrections to sklearn-onnx's text vectorizers: words and lower case of every language, not only of English."""

from __future__ import annotations

import onnx
from onnx import helper

from forgo._errors import ExportError

_LOCALE = "C.UTF-8"
"""Part of glibc, unlike the en_US.UTF-8 that ONNX Runtime takes by default. It lowers all of Unicode."""
_ENGLISH = b"[a-zA-Z0-9_]+"
_WORD = b"[\\p{L}\\p{N}_]{2,}"
r"""What scikit-learn's usual token_pattern, ``(?u)\b\w\w+\b``, finds."""
_FINAL_SIGMA = "ς"


def mend(model: onnx.ModelProto) -> list[str]:
    """Correct the text operators of a converted model.

    Returns:
        Notes: how the graph still differs.

    Raises:
        ExportError: the graph would lower words of the model's vocabulary otherwise than Python.
    """
    nodes = model.graph.node
    lowers = False
    for node in nodes:
        attributes = {a.name: a for a in node.attribute}
        if node.op_type == "Tokenizer" and "tokenexp" in attributes and attributes["tokenexp"].s == _ENGLISH:
            attributes["tokenexp"].s = _WORD
        action = attributes.get("case_change_action")
        if node.op_type == "StringNormalizer" and action is not None and action.s != b"NONE":
            lowers = True
            if "locale" in attributes:
                node.attribute.remove(attributes["locale"])
            node.attribute.append(helper.make_attribute("locale", _LOCALE))
    if not lowers:
        return []
    words = [
        w.decode()
        for n in nodes if n.op_type == "TfIdfVectorizer"
        for a in n.attribute if a.name == "pool_strings"
        for w in a.strings
    ]  # fmt: skip
    if word := next((w for w in words if _FINAL_SIGMA in w), None):
        raise ExportError(
            f"its vocabulary has the word {word!r}, and ONNX Runtime does not make {_FINAL_SIGMA} of Σ at the end of a word: "
            "give the vectorizer lowercase=False, and lowercase strings before the model, in training too"
        )
    return [
        "of İ (U+0130) the graph makes i, and Python i and a dot: Turkish words in capitals may be answered differently"
    ]
