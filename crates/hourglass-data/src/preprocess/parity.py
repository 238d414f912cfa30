"""Writes parity.json, which parity.rs compares with: scikit-learn's scalers, imputers and encoders on
public sets, fitted on all rows; kept are five rows of each. HOURGLASS_DATA_DIR names the data.

    python parity.py > parity.json        # scikit-learn 1.9, numpy 2, pandas 3
"""

import gzip
import io
import json
import os

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

DATA = os.environ["HOURGLASS_DATA_DIR"]


def read(path, **options):
    raw = open(f"{DATA}/{path}", "rb").read()
    raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    return pd.read_csv(io.BytesIO(raw), **options)


pima = read("pima/pima-indians-diabetes.csv", header=None).values.astype(float)[:, :8]
pima[:, 1:6][pima[:, 1:6] == 0] = np.nan
wine = read("wine_quality/winequality-red.csv", sep=";").values[:, :11]
# The program carries this set in 32 bits.
cancer = load_breast_cancer().data.astype("f4").astype("f8")

adult = read("adult/adult.data.gz", header=None, skipinitialspace=True, keep_default_na=False)
german = read("german_credit/german.data", header=None, sep=" ")
mushroom = read("mushroom/agaricus-lepiota.data.gz", header=None)
CATEGORIES = {
    "adult": (adult[[1, 3, 5, 6, 7, 8, 9, 13]].astype(str), adult[14] == ">50K"),
    "german_credit": (german[[0, 2, 3, 5, 6, 8, 9, 11, 13, 14, 16, 18, 19]].astype(str), german[20] == 2),
    # veil-type is constant, so it is left out
    "mushroom": (mushroom[[c for c in range(1, 23) if c != 16]].astype(str), mushroom[0] == "p"),
}

SCALERS = {
    "min_max": MinMaxScaler((-1, 1)),
    "standard": StandardScaler(),
    "robust": RobustScaler(),
    "max_abs": MaxAbsScaler(),
    "uniform": QuantileTransformer(n_quantiles=1000, subsample=None),
    "normal": QuantileTransformer(n_quantiles=100, output_distribution="normal", subsample=None),
    "yeo_johnson": PowerTransformer(),
}


def rows(x):
    n = len(x)
    picked = np.asarray(x, dtype=float)[[0, 1, n // 3, n // 2, n - 1]]
    return [[float(f"{v:.9g}") for v in row] for row in picked]


def scaled_neighbours(x):
    scaler = StandardScaler().fit(x)
    return scaler.inverse_transform(KNNImputer().fit_transform(scaler.transform(x)))


out = {"scalers": {}, "imputers": {}, "encoders": {}}
filled = SimpleImputer(strategy="median").fit_transform(pima)
for name, x in [("wine_quality_red", wine), ("breast_cancer", cancer), ("pima", filled)]:
    out["scalers"][name] = {key: rows(s.fit_transform(x)) for key, s in SCALERS.items()}

# Holes in sets that have none, by a rule that a test can repeat.
def holes(x):
    x = x.copy()
    i, j = np.indices(x.shape)
    x[(i * 7 + j * 3) % 11 == 0] = np.nan
    return x


for name, x in [("pima", pima), ("wine_quality_red", holes(wine)), ("breast_cancer", holes(cancer))]:
    fills = {
        "mean": SimpleImputer(strategy="mean"),
        "median": SimpleImputer(strategy="median"),
        "most_frequent": SimpleImputer(strategy="most_frequent"),
        "constant": SimpleImputer(strategy="constant", fill_value=-3.0),
    }
    found = {key: rows(s.fit_transform(x)) for key, s in fills.items()}
    found["nearest"] = rows(scaled_neighbours(x))
    found["indicator"] = rows(MissingIndicator().fit_transform(x))
    out["imputers"][name] = found

for name, (x, y) in CATEGORIES.items():
    found = {
        "one_hot": OneHotEncoder(sparse_output=False).fit_transform(x),
        "rare": OneHotEncoder(sparse_output=False, min_frequency=0.05).fit_transform(x),
        "ordinal": OrdinalEncoder().fit_transform(x),
        "target": TargetEncoder(smooth=10.0).fit(x, y).transform(x),
        "frequency": np.column_stack([x[c].map(x[c].value_counts(normalize=True)) for c in x]),
    }
    out["encoders"][name] = {key: rows(value) for key, value in found.items()}

print(json.dumps(out, separators=(",", ":")).replace("],[", "],\n["))
