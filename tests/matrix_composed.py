"""Models of scikit-learn that are made of others, and those with several outputs, each with rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import (
    compose,
    decomposition,
    ensemble,
    feature_extraction,
    linear_model,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)  # fmt: skip

from tests.matrix import DIABETES, MANY, MIXED, TEXTS, Fitted, X, Y

_ROWS, _TARGET = DIABETES.data, DIABETES.target
_SEVERAL = np.c_[_TARGET, np.sqrt(_TARGET), _ROWS[:, 2] * 100]
_LOGISTIC = linear_model.LogisticRegression(max_iter=500)
_CLASSIFIERS = [("a", _LOGISTIC), ("b", naive_bayes.GaussianNB())]
_REGRESSORS = [("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3))]
_FEW: dict[str, Any] = {"n_estimators": 10, "random_state": 0}


def _fitted(model: Any, rows: Any, target: Any) -> Fitted:
    return lambda: (model.fit(rows, target), rows)


def _regressor(model: Any) -> Fitted:
    return _fitted(model, _ROWS, _TARGET)


def _several(model: Any) -> Fitted:
    return _fitted(model, _ROWS, _SEVERAL)


def _before(*steps: Any, rows: Any = X) -> Fitted:
    return _fitted(pipeline.make_pipeline(*steps, linear_model.LogisticRegression()), rows, Y)


def _scaled(model: Any, target: Any = Y, rows: Any = X) -> Fitted:
    return _fitted(pipeline.make_pipeline(preprocessing.StandardScaler(), model), rows, target)


def _transformed(**how: Any) -> Fitted:
    return _regressor(compose.TransformedTargetRegressor(linear_model.Ridge(), **how))


def _transformed_table() -> tuple[Any, Any]:
    chosen = compose.make_column_transformer(
        (preprocessing.OneHotEncoder(), ["colour", "size"]), (preprocessing.StandardScaler(), ["length"])
    )
    model = compose.TransformedTargetRegressor(
        pipeline.make_pipeline(chosen, ensemble.RandomForestRegressor(**_FEW)),
        func=np.log,
        inverse_func=np.exp,
    )
    return model.fit(MIXED, Y + 1.0), MIXED


COMPOSED: dict[str, Fitted] = {
    "LinearRegression, several outputs": _several(linear_model.LinearRegression()),
    "RandomForestRegressor, several outputs": _several(ensemble.RandomForestRegressor(**_FEW)),
    "MLPRegressor, several outputs": _several(
        pipeline.make_pipeline(
            preprocessing.StandardScaler(),
            neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=50, random_state=0),
        )
    ),
    "MultiOutputRegressor": _several(multioutput.MultiOutputRegressor(linear_model.Ridge())),
    "MultiOutputRegressor, HistGradientBoosting": _several(
        multioutput.MultiOutputRegressor(ensemble.HistGradientBoostingRegressor(max_iter=10))
    ),
    "RegressorChain": _several(multioutput.RegressorChain(linear_model.Ridge())),
    "MultiOutputClassifier": _fitted(multioutput.MultiOutputClassifier(_LOGISTIC), X, MANY),
    "MultiOutputClassifier at the end of a Pipeline": _scaled(
        multioutput.MultiOutputClassifier(svm.SVC(probability=True, random_state=0)), MANY
    ),
    "MultiOutputClassifier, three classes": _fitted(
        multioutput.MultiOutputClassifier(_LOGISTIC), X, np.c_[Y, Y == 0]
    ),
    "MultiOutputClassifier over RandomForestClassifier": _fitted(
        multioutput.MultiOutputClassifier(ensemble.RandomForestClassifier(**_FEW)), X, MANY
    ),
    "KNeighborsClassifier, several outputs": _fitted(neighbors.KNeighborsClassifier(), X, MANY),
    "ClassifierChain": _fitted(multioutput.ClassifierChain(_LOGISTIC), X, MANY),
    "VotingClassifier, hard": _fitted(ensemble.VotingClassifier(_CLASSIFIERS), X, Y),
    "VotingRegressor": _regressor(ensemble.VotingRegressor(_REGRESSORS)),
    "StackingRegressor": _regressor(ensemble.StackingRegressor(_REGRESSORS)),
    "TransformedTargetRegressor, log1p": _transformed(func=np.log1p, inverse_func=np.expm1),
    "TransformedTargetRegressor, StandardScaler": _transformed(transformer=preprocessing.StandardScaler()),
    "TransformedTargetRegressor, QuantileTransformer": _transformed(
        transformer=preprocessing.QuantileTransformer(n_quantiles=100)
    ),
    "TransformedTargetRegressor, columns": _transformed_table,
    "FeatureUnion": _before(
        pipeline.make_union(preprocessing.StandardScaler(), decomposition.PCA(2)),
    ),
    "FeatureUnion of vectorizers": _before(
        pipeline.make_union(
            feature_extraction.text.TfidfVectorizer(), feature_extraction.text.CountVectorizer()
        ),
        rows=TEXTS,
    ),
    "StandardScaler, RandomForestClassifier": _scaled(ensemble.RandomForestClassifier(**_FEW)),
    "StandardScaler, ExtraTreesRegressor": _scaled(ensemble.ExtraTreesRegressor(**_FEW), _TARGET, _ROWS),
    "StandardScaler, GradientBoostingRegressor": _scaled(
        ensemble.GradientBoostingRegressor(**_FEW), _TARGET, _ROWS
    ),
    "StandardScaler, AdaBoostClassifier": _scaled(ensemble.AdaBoostClassifier(**_FEW)),
    "StandardScaler, IsolationForest": _scaled(ensemble.IsolationForest(**_FEW)),
    "HashingVectorizer": _before(feature_extraction.text.HashingVectorizer(n_features=64), rows=TEXTS),
    "KBinsDiscretizer, one-hot": _before(preprocessing.KBinsDiscretizer(4)),
    "KBinsDiscretizer, one-hot, dense": _before(preprocessing.KBinsDiscretizer(4, encode="onehot-dense")),
}
