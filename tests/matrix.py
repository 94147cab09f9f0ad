"""Models of scikit-learn, XGBoost, LightGBM and CatBoost, each with rows: what tests/test_matrix.py exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import catboost as cb
import lightgbm as lgb
import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn import (
    calibration,
    cluster,
    compose,
    datasets,
    decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    linear_model,
    mixture,
    multiclass,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)  # fmt: skip

IRIS, CANCER, DIABETES = datasets.load_iris(), datasets.load_breast_cancer(), datasets.load_diabetes()
X, Y = IRIS.data, IRIS.target
HOLES = X.copy()
HOLES[::7, 1] = np.nan
CODES = np.c_[X[:, :3], (X[:, 3] * 10).astype(int) % 5]
MANY = np.c_[Y == 0, Y < 2].astype(int)
LABELS = np.c_[MANY, X[:, 1] > 3].astype(int)
MIXED = pd.DataFrame(
    {
        "length": X[:, 0],
        "width": np.where(np.arange(150) % 9 == 4, np.nan, X[:, 1]),
        "colour": [("red", "green", "blue")[i % 3] for i in range(150)],
        "size": [("small", "large")[i % 2] for i in range(150)],
    }
)
TEXTS = np.array(
    [f"{('Good', 'ÜBEL', 'обычный')[y]} flower, naïve No {i % 9}" for i, y in enumerate(Y)], dtype=object
)
Fitted = Callable[[], tuple[Any, Any]]


def _classifier(model: Any, rows: Any = X, target: Any = Y) -> Fitted:
    return lambda: (model.fit(rows, target), rows)


def _regressor(model: Any) -> Fitted:
    return _classifier(model, DIABETES.data, DIABETES.target)


def _binary(model: Any) -> Fitted:
    return _classifier(model, CANCER.data, CANCER.target)


def _frame(model: Any) -> Fitted:
    """Columns of numbers and of categories, and missing numbers."""
    frame = MIXED.astype({"colour": "category", "size": "category"})
    return _classifier(model, frame, Y * (MIXED["colour"] != "red"))


def _scaled(model: Any) -> Any:
    return pipeline.make_pipeline(preprocessing.StandardScaler(), model)


def _columns(encoder: Any, *, fill: Any = None) -> Any:
    numbers = pipeline.make_pipeline(fill or impute.SimpleImputer(), preprocessing.StandardScaler())
    chosen = compose.make_column_transformer((numbers, ["length", "width"]), (encoder, ["colour", "size"]))
    return pipeline.make_pipeline(chosen, linear_model.LogisticRegression())


def _early_xgboost() -> tuple[Any, Any]:
    model = xgb.XGBClassifier(n_estimators=100, early_stopping_rounds=3)
    model.fit(
        CANCER.data[:400],
        CANCER.target[:400],
        eval_set=[(CANCER.data[400:], CANCER.target[400:])],
        verbose=False,
    )
    return model, CANCER.data


def _early_lightgbm() -> tuple[Any, Any]:
    model = lgb.LGBMClassifier(n_estimators=100, verbose=-1)
    stop = [lgb.early_stopping(3, verbose=False)]
    model.fit(
        CANCER.data[:400],
        CANCER.target[:400],
        eval_set=[(CANCER.data[400:], CANCER.target[400:])],
        callbacks=stop,
    )
    return model, CANCER.data


def _xgb_native(objective: str, rows: Any, target: Any, **more: Any) -> Fitted:
    return lambda: (xgb.train({"objective": objective, **more}, xgb.DMatrix(rows, target), 10), rows)


def _lgb_native(objective: str, rows: Any, target: Any, **more: Any) -> Fitted:
    return lambda: (
        lgb.train({"objective": objective, "verbose": -1, **more}, lgb.Dataset(rows, target), 10),
        rows,
    )


_LOGISTIC = linear_model.LogisticRegression
_FEW: dict[str, Any] = {"n_estimators": 10, "random_state": 0}
_LGB: dict[str, Any] = {"n_estimators": 10, "verbose": -1}

SKLEARN: dict[str, Fitted] = {
    "LogisticRegression": _classifier(_LOGISTIC(max_iter=500)),
    "LogisticRegression, strings as classes": _classifier(_LOGISTIC(max_iter=500), X, IRIS.target_names[Y]),
    "LogisticRegressionCV": _classifier(linear_model.LogisticRegressionCV(cv=3, max_iter=500)),
    "SGDClassifier, log_loss": _classifier(
        _scaled(linear_model.SGDClassifier(loss="log_loss", random_state=0))
    ),
    "SGDClassifier, hinge": _classifier(_scaled(linear_model.SGDClassifier(random_state=0))),
    "RidgeClassifier": _classifier(linear_model.RidgeClassifier()),
    "Perceptron": _classifier(linear_model.Perceptron(random_state=0)),
    "LinearSVC": _classifier(svm.LinearSVC()),
    "SVC, probability": _binary(_scaled(svm.SVC(probability=True, random_state=0))),
    "NuSVC": _classifier(svm.NuSVC()),
    "KNeighborsClassifier": _classifier(neighbors.KNeighborsClassifier()),
    "GaussianNB": _classifier(naive_bayes.GaussianNB()),
    "MultinomialNB": _classifier(naive_bayes.MultinomialNB()),
    "BernoulliNB": _classifier(naive_bayes.BernoulliNB(binarize=2.0)),
    "LinearDiscriminantAnalysis": _classifier(discriminant_analysis.LinearDiscriminantAnalysis()),
    "QuadraticDiscriminantAnalysis": _classifier(discriminant_analysis.QuadraticDiscriminantAnalysis()),
    "GaussianProcessClassifier": _binary(_scaled(gaussian_process.GaussianProcessClassifier(random_state=0))),
    "DecisionTreeClassifier": _classifier(tree.DecisionTreeClassifier(random_state=0)),
    "RandomForestClassifier": _classifier(ensemble.RandomForestClassifier(**_FEW)),
    "ExtraTreesClassifier": _classifier(ensemble.ExtraTreesClassifier(**_FEW)),
    "GradientBoostingClassifier": _classifier(ensemble.GradientBoostingClassifier(**_FEW)),
    "HistGradientBoostingClassifier": _classifier(ensemble.HistGradientBoostingClassifier(max_iter=10)),
    "HistGradientBoostingClassifier, missing values": _classifier(
        ensemble.HistGradientBoostingClassifier(max_iter=10), HOLES
    ),
    "HistGradientBoostingClassifier, categories": _classifier(
        ensemble.HistGradientBoostingClassifier(max_iter=10, categorical_features=[3]), CODES
    ),
    "HistGradientBoostingClassifier, columns of categories": _frame(
        ensemble.HistGradientBoostingClassifier(max_iter=10)
    ),
    "HistGradientBoostingClassifier, a category unseen in training": lambda: (
        ensemble.HistGradientBoostingClassifier(max_iter=10, categorical_features=[3]).fit(
            CODES[CODES[:, 3] != 2], Y[CODES[:, 3] != 2]
        ),
        CODES,
    ),
    "HistGradientBoostingClassifier, calibrated": _classifier(
        calibration.CalibratedClassifierCV(ensemble.HistGradientBoostingClassifier(max_iter=5))
    ),
    "AdaBoostClassifier": _classifier(ensemble.AdaBoostClassifier(**_FEW)),
    "BaggingClassifier": _classifier(ensemble.BaggingClassifier(**_FEW)),
    "VotingClassifier, soft": _classifier(
        ensemble.VotingClassifier(
            [("a", _LOGISTIC(max_iter=500)), ("b", naive_bayes.GaussianNB())], voting="soft"
        )
    ),
    "VotingClassifier, soft, flatten_transform=False": _classifier(
        ensemble.VotingClassifier(
            [("a", _LOGISTIC(max_iter=500)), ("b", naive_bayes.GaussianNB())],
            voting="soft",
            flatten_transform=False,
        )
    ),
    "StackingClassifier": _classifier(
        ensemble.StackingClassifier(
            [("a", tree.DecisionTreeClassifier(max_depth=2)), ("b", naive_bayes.GaussianNB())]
        )
    ),
    "CalibratedClassifierCV, sigmoid over LinearSVC": _classifier(
        calibration.CalibratedClassifierCV(svm.LinearSVC())
    ),
    "CalibratedClassifierCV, sigmoid over a Pipeline": _classifier(
        calibration.CalibratedClassifierCV(_scaled(svm.LinearSVC()))
    ),
    "CalibratedClassifierCV, isotonic": _classifier(
        calibration.CalibratedClassifierCV(tree.DecisionTreeClassifier(max_depth=2), method="isotonic")
    ),
    "MLPClassifier": _classifier(neural_network.MLPClassifier((8,), max_iter=50, random_state=0)),
    "MLPClassifier, multi-label": _classifier(
        neural_network.MLPClassifier((8,), max_iter=50, random_state=0), X, MANY
    ),
    "OneVsRestClassifier": _classifier(multiclass.OneVsRestClassifier(_LOGISTIC(max_iter=500))),
    "OneVsRestClassifier, multi-label": _classifier(
        multiclass.OneVsRestClassifier(_LOGISTIC(max_iter=500)), X, MANY
    ),
    "RandomForestClassifier, several outputs": _classifier(ensemble.RandomForestClassifier(**_FEW), X, MANY),
    "DummyClassifier": _classifier(dummy.DummyClassifier()),
    "LinearRegression": _regressor(linear_model.LinearRegression()),
    "Ridge": _regressor(linear_model.Ridge()),
    "Lasso": _regressor(linear_model.Lasso(0.1)),
    "BayesianRidge": _regressor(linear_model.BayesianRidge()),
    "HuberRegressor": _regressor(linear_model.HuberRegressor(max_iter=1000)),
    "PoissonRegressor": _regressor(linear_model.PoissonRegressor()),
    "SVR": _regressor(svm.SVR()),
    "KNeighborsRegressor": _regressor(neighbors.KNeighborsRegressor()),
    "DecisionTreeRegressor": _regressor(tree.DecisionTreeRegressor(random_state=0)),
    "RandomForestRegressor": _regressor(ensemble.RandomForestRegressor(**_FEW)),
    "GradientBoostingRegressor": _regressor(ensemble.GradientBoostingRegressor(**_FEW)),
    "HistGradientBoostingRegressor": _regressor(ensemble.HistGradientBoostingRegressor(max_iter=10)),
    "HistGradientBoostingRegressor, poisson": _regressor(
        ensemble.HistGradientBoostingRegressor(max_iter=10, loss="poisson")
    ),
    "HistGradientBoostingRegressor, quantile": _regressor(
        ensemble.HistGradientBoostingRegressor(max_iter=10, loss="quantile", quantile=0.8)
    ),
    "GaussianProcessRegressor": _regressor(gaussian_process.GaussianProcessRegressor(alpha=1.0)),
    "MLPRegressor": _regressor(
        _scaled(neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=50, random_state=0))
    ),
    "KMeans": _classifier(cluster.KMeans(3, random_state=0)),
    "MiniBatchKMeans": _classifier(cluster.MiniBatchKMeans(3, random_state=0)),
    "GaussianMixture": _classifier(mixture.GaussianMixture(3, random_state=0)),
    "IsolationForest": _classifier(ensemble.IsolationForest(**_FEW)),
    "LocalOutlierFactor": _classifier(neighbors.LocalOutlierFactor(novelty=True)),
    "PCA": _classifier(decomposition.PCA(2)),
    "TruncatedSVD": _classifier(decomposition.TruncatedSVD(2, random_state=0)),
    "SelectKBest": _classifier(feature_selection.SelectKBest(k=2)),
    "KBinsDiscretizer": _classifier(_scaled(preprocessing.KBinsDiscretizer(4, encode="ordinal"))),
    "MinMaxScaler, PolynomialFeatures": _classifier(
        pipeline.make_pipeline(preprocessing.MinMaxScaler(), preprocessing.PolynomialFeatures(2), _LOGISTIC())
    ),
    "KNNImputer": _classifier(pipeline.make_pipeline(impute.KNNImputer(), _LOGISTIC(max_iter=500)), HOLES),
    "OneHotEncoder, unknown ignored": _classifier(
        _columns(preprocessing.OneHotEncoder(handle_unknown="ignore")), MIXED
    ),
    "OneHotEncoder, infrequent": _classifier(
        _columns(preprocessing.OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=60)), MIXED
    ),
    "OrdinalEncoder": _classifier(_columns(preprocessing.OrdinalEncoder()), MIXED),
    "TfidfVectorizer": _classifier(
        pipeline.make_pipeline(feature_extraction.text.TfidfVectorizer(), _LOGISTIC()), TEXTS
    ),
    "CountVectorizer": _classifier(
        pipeline.make_pipeline(feature_extraction.text.CountVectorizer(), naive_bayes.MultinomialNB()), TEXTS
    ),
    "TfidfVectorizer, lowercase=False": _classifier(
        pipeline.make_pipeline(feature_extraction.text.TfidfVectorizer(lowercase=False), _LOGISTIC()), TEXTS
    ),
    "CountVectorizer, lowercase=False": _classifier(
        pipeline.make_pipeline(
            feature_extraction.text.CountVectorizer(lowercase=False), naive_bayes.MultinomialNB()
        ),
        TEXTS,
    ),
}

XGBOOST: dict[str, Fitted] = {
    "XGBClassifier, three classes": _classifier(xgb.XGBClassifier(n_estimators=10)),
    "XGBClassifier, two classes": _binary(xgb.XGBClassifier(n_estimators=10)),
    "XGBClassifier, missing values": _classifier(xgb.XGBClassifier(n_estimators=10), HOLES),
    "XGBClassifier, early stopping": _early_xgboost,
    "XGBClassifier, DART": _classifier(xgb.XGBClassifier(n_estimators=10, booster="dart", rate_drop=0.3)),
    "XGBRegressor, DART": _regressor(xgb.XGBRegressor(n_estimators=20, booster="dart", rate_drop=0.5)),
    "XGBClassifier at the end of a Pipeline": _classifier(_scaled(xgb.XGBClassifier(n_estimators=10))),
    "XGBRegressor at the end of a Pipeline": _regressor(_scaled(xgb.XGBRegressor(n_estimators=10))),
    "XGBClassifier, multi-label, at the end of a Pipeline": _classifier(
        _scaled(xgb.XGBClassifier(n_estimators=10)), X, LABELS
    ),
    "XGBClassifier, columns of categories": _frame(
        xgb.XGBClassifier(n_estimators=10, enable_categorical=True, max_cat_to_onehot=1)
    ),
    "XGBClassifier, codes of categories": _classifier(
        xgb.XGBClassifier(n_estimators=10, enable_categorical=True, feature_types=["q", "q", "q", "c"]), CODES
    ),
    "XGBRFClassifier": _classifier(xgb.XGBRFClassifier(n_estimators=10)),
    "XGBClassifier, multi-label": _classifier(xgb.XGBClassifier(n_estimators=10), X, LABELS),
    "XGBClassifier, multi-label, multi_output_tree": _classifier(
        xgb.XGBClassifier(n_estimators=10, multi_strategy="multi_output_tree"), X, LABELS
    ),
    "XGBRegressor": _regressor(xgb.XGBRegressor(n_estimators=10)),
    "XGBRegressor, base_score": _regressor(xgb.XGBRegressor(n_estimators=10, base_score=0.5)),
    "XGBRegressor, count:poisson": _regressor(xgb.XGBRegressor(n_estimators=10, objective="count:poisson")),
    "XGBRegressor, reg:logistic": _binary(xgb.XGBRegressor(n_estimators=10, objective="reg:logistic")),
    "XGBRegressor, num_parallel_tree": _regressor(xgb.XGBRegressor(n_estimators=5, num_parallel_tree=3)),
    "XGBRegressor, gblinear": _regressor(xgb.XGBRegressor(n_estimators=10, booster="gblinear")),
    "XGBRanker": lambda: (xgb.XGBRanker(n_estimators=5).fit(X, Y, qid=np.repeat([0, 1, 2], 50)), X),
    "XGBRanker, rank:pairwise": lambda: (
        xgb.XGBRanker(n_estimators=5, objective="rank:pairwise").fit(X, Y, qid=np.repeat([0, 1, 2], 50)),
        X,
    ),
    "Booster, binary:logistic": _xgb_native("binary:logistic", CANCER.data, CANCER.target),
    "Booster, binary:logistic, several labels": _xgb_native("binary:logistic", X, LABELS),
    "Booster, multi:softprob": _xgb_native("multi:softprob", X, Y, num_class=3),
    "Booster, multi:softmax": _xgb_native("multi:softmax", X, Y, num_class=3),
    "Booster, reg:squarederror": _xgb_native("reg:squarederror", DIABETES.data, DIABETES.target),
}

LIGHTGBM: dict[str, Fitted] = {
    "LGBMClassifier, three classes": _classifier(lgb.LGBMClassifier(**_LGB)),
    "LGBMClassifier, two classes": _binary(lgb.LGBMClassifier(**_LGB)),
    "LGBMClassifier, missing values": _classifier(lgb.LGBMClassifier(**_LGB), HOLES),
    "LGBMClassifier, missing values unseen in training": lambda: (
        lgb.LGBMClassifier(**_LGB).fit(X, Y),
        HOLES,
    ),
    "LGBMClassifier, categories": lambda: (
        lgb.LGBMClassifier(**_LGB).fit(CODES, Y, categorical_feature=[3]),
        CODES,
    ),
    "LGBMClassifier, columns of categories": _frame(lgb.LGBMClassifier(min_child_samples=5, **_LGB)),
    "LGBMClassifier, early stopping": _early_lightgbm,
    "LGBMClassifier, DART": _classifier(lgb.LGBMClassifier(boosting_type="dart", **_LGB)),
    "LGBMClassifier, rf": _classifier(
        lgb.LGBMClassifier(boosting_type="rf", bagging_freq=1, bagging_fraction=0.7, **_LGB)
    ),
    "LGBMClassifier at the end of a Pipeline": _classifier(_scaled(lgb.LGBMClassifier(**_LGB))),
    "LGBMRegressor at the end of a Pipeline": _regressor(_scaled(lgb.LGBMRegressor(**_LGB))),
    "LGBMRegressor": _regressor(lgb.LGBMRegressor(**_LGB)),
    "LGBMRegressor, poisson": _regressor(lgb.LGBMRegressor(objective="poisson", **_LGB)),
    "LGBMRegressor, gamma": _regressor(lgb.LGBMRegressor(objective="gamma", **_LGB)),
    "LGBMRegressor, l1": _regressor(lgb.LGBMRegressor(objective="l1", **_LGB)),
    "LGBMRegressor, linear_tree": _regressor(lgb.LGBMRegressor(linear_tree=True, **_LGB)),
    "LGBMRanker": lambda: (
        lgb.LGBMRanker(**_LGB).fit(X[np.r_[0:150:2, 1:150:2]], Y[np.r_[0:150:2, 1:150:2]], group=[75, 75]),
        X,
    ),
    "Booster, binary": _lgb_native("binary", CANCER.data, CANCER.target),
    "Booster, multiclass": _lgb_native("multiclass", X, Y, num_class=3),
    "Booster, regression": _lgb_native("regression", DIABETES.data, DIABETES.target),
}

_CB: dict[str, Any] = {"iterations": 10, "verbose": 0, "allow_writing_files": False, "random_seed": 0}


def _cb_regressor(loss: str, rows: Any = DIABETES.data, target: Any = DIABETES.target) -> Fitted:
    return _classifier(cb.CatBoostRegressor(loss_function=loss, **_CB), rows, target)


def _cb_ranker(loss: str) -> Fitted:
    model = cb.CatBoostRanker(loss_function=loss, bootstrap_type="No", **_CB)
    return lambda: (model.fit(X, Y, group_id=np.repeat([0, 1, 2], 50)), X)


def _early_catboost() -> tuple[Any, Any]:
    model = cb.CatBoostClassifier(**{**_CB, "iterations": 100}, early_stopping_rounds=3)
    model.fit(CANCER.data[:400], CANCER.target[:400], eval_set=(CANCER.data[400:], CANCER.target[400:]))
    return model, CANCER.data


CATBOOST: dict[str, Fitted] = {
    "CatBoostClassifier, three classes": _classifier(cb.CatBoostClassifier(**_CB)),
    "CatBoostClassifier, strings as classes": _classifier(
        cb.CatBoostClassifier(**_CB), X, IRIS.target_names[Y]
    ),
    "CatBoostClassifier, two classes": _binary(cb.CatBoostClassifier(**_CB)),
    "CatBoostClassifier, CrossEntropy": _binary(cb.CatBoostClassifier(loss_function="CrossEntropy", **_CB)),
    "CatBoostClassifier, class_weights": _classifier(cb.CatBoostClassifier(class_weights=[1, 2, 3], **_CB)),
    "CatBoostClassifier, missing values": _classifier(cb.CatBoostClassifier(**_CB), HOLES),
    "CatBoostClassifier, missing values, nan_mode Max": _classifier(
        cb.CatBoostClassifier(nan_mode="Max", **_CB), HOLES
    ),
    "CatBoostClassifier, missing values unseen in training": lambda: (
        cb.CatBoostClassifier(**_CB).fit(X, Y),
        HOLES,
    ),
    "CatBoostClassifier, early stopping": _early_catboost,
    "CatBoostClassifier, MultiClassOneVsAll": _classifier(
        cb.CatBoostClassifier(loss_function="MultiClassOneVsAll", **_CB)
    ),
    "CatBoostClassifier, MultiLogloss": _classifier(
        cb.CatBoostClassifier(loss_function="MultiLogloss", **_CB), X, MANY
    ),
    "CatBoostClassifier, grow_policy Lossguide": _classifier(
        cb.CatBoostClassifier(grow_policy="Lossguide", **_CB)
    ),
    "CatBoostClassifier, categories": lambda: (
        cb.CatBoostClassifier(cat_features=["colour"], **_CB).fit(MIXED.drop(columns="size"), Y),
        MIXED.drop(columns="size"),
    ),
    "CatBoostClassifier, text features": lambda: (
        cb.CatBoostClassifier(text_features=["text"], **_CB).fit(pd.DataFrame({"text": TEXTS}), Y),
        pd.DataFrame({"text": TEXTS}),
    ),
    "CatBoostRegressor": _cb_regressor("RMSE"),
    "CatBoostRegressor, missing values": _cb_regressor("RMSE", HOLES, X[:, 0]),
    "CatBoostRegressor, MAE": _cb_regressor("MAE"),
    "CatBoostRegressor, Quantile": _cb_regressor("Quantile:alpha=0.9"),
    "CatBoostRegressor, Huber": _cb_regressor("Huber:delta=3"),
    "CatBoostRegressor, Poisson": _cb_regressor("Poisson"),
    "CatBoostRegressor, Tweedie": _cb_regressor("Tweedie:variance_power=1.5"),
    "CatBoostRegressor, LogLinQuantile": _cb_regressor("LogLinQuantile"),
    "CatBoostRegressor, MultiRMSE": _cb_regressor("MultiRMSE", X, X[:, :2]),
    "CatBoostRegressor, RMSEWithUncertainty": _cb_regressor("RMSEWithUncertainty"),
    "CatBoostRanker, YetiRank": _cb_ranker("YetiRank"),
    "CatBoostRanker, PairLogit": _cb_ranker("PairLogit"),
    "CatBoost, Logloss": _binary(cb.CatBoost({"loss_function": "Logloss", **_CB})),
    "CatBoost, RMSE": _regressor(cb.CatBoost(_CB)),
}
