"""Adult by pandas and a ColumnTransformer: read both files, split, impute, encode, scale."""

import os
import sys
import time

import side

try:
    import numpy as np
    import pandas as pd
    import sklearn
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
except ImportError as error:
    side.skip(f"{error.name} is not installed")

if "HOURGLASS_DATA_DIR" not in os.environ:
    side.skip("HOURGLASS_DATA_DIR is not set")
FOLDER = f"{os.environ['HOURGLASS_DATA_DIR']}/adult"
COLUMNS = (
    "age workclass fnlwgt education education-num marital-status occupation relationship race sex "
    "capital-gain capital-loss hours-per-week native-country income"
).split()


def read(name, **options):
    return pd.read_csv(
        f"{FOLDER}/{name}", names=COLUMNS, na_values="?", skipinitialspace=True, **options
    )


def prepare():
    train, test = read("adult.data.gz"), read("adult.test.gz", comment="|")
    y_train, y_test = train.pop("income"), test.pop("income").str.rstrip(".")
    x_train, x_validation, y_train, y_validation = train_test_split(
        train, y_train, test_size=0.1, stratify=y_train, random_state=1
    )
    numbers = x_train.select_dtypes("number").columns
    words = [name for name in x_train.columns if name not in set(numbers)]
    transformer = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (
                "words",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"),
                    OneHotEncoder(
                        handle_unknown="ignore", sparse_output=False, dtype=np.float32
                    ),
                ),
                words,
            ),
        ]
    )
    transformer.fit(x_train)
    parts = [transformer.transform(part) for part in (x_train, x_validation, test)]
    return [part.astype(np.float32) for part in parts]


def round_of_work():
    start = time.perf_counter()
    parts = prepare()
    seconds = time.perf_counter() - start
    return {"value": seconds, "loss": sum(part.size for part in parts)}


side.serve(round_of_work, pandas=pd.__version__, sklearn=sklearn.__version__)
