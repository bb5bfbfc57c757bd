"""Tensors handed straight to scikit-learn, pandas, matplotlib and SciPy."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fl


@pytest.fixture
def table() -> tuple[fl.Tensor, fl.Tensor]:
    generator = fl.Generator().manual_seed(0)
    x = fl.randn(60, 3, generator=generator, dtype=fl.float64)
    return x, x @ fl.tensor([1.0, -2.0, 0.5], dtype=fl.float64) + 0.3


def test_scikit_learn_takes_tensors(table):
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LinearRegression
    from sklearn.metrics import mean_absolute_error, r2_score
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    x, y = table
    scaler = StandardScaler().fit(x)
    scaled = scaler.transform(x)
    assert scaled.shape == (60, 3) and abs(scaled.mean()) < 1e-12
    np.testing.assert_allclose(scaler.inverse_transform(fl.tensor(scaled)), x.numpy())
    model = LinearRegression().fit(x, y)
    np.testing.assert_allclose(model.coef_, [1, -2, 0.5], atol=1e-10)
    assert mean_absolute_error(y, fl.tensor(model.predict(x))) < 1e-10 and r2_score(y, y) == 1
    parts = train_test_split(x.numpy(), y.numpy(), test_size=0.25, random_state=0)
    assert fl.from_numpy(parts[0]).shape == (45, 3)


def test_a_tensor_that_requires_grad_says_how_to_pass_it(table):
    pytest.importorskip("sklearn")
    from sklearn.metrics import mean_absolute_error

    _x, y = table
    with pytest.raises(RuntimeError, match="detach"):
        mean_absolute_error(y, y.clone().requires_grad_())


def test_pandas_takes_tensors_and_gives_them_back(table):
    pd = pytest.importorskip("pandas")
    x, y = table
    frame = pd.DataFrame(x, columns=list("abc"))
    frame["y"] = y
    assert frame.shape == (60, 4) and frame["y"].iloc[3] == y[3].item()
    series = pd.Series(y)
    assert series.dtype == np.float64
    back = fl.tensor(frame[["a", "b", "c"]].to_numpy())
    np.testing.assert_array_equal(back.numpy(), x.numpy())
    assert fl.tensor(frame["y"].values).tolist() == y.tolist()
    assert fl.tensor(series).tolist() == y.tolist()


def test_scipy_takes_tensors(table):
    stats = pytest.importorskip("scipy.stats")
    _x, y = table
    assert stats.pearsonr(y, y).statistic == pytest.approx(1)


def test_python_itself_takes_tensors():
    x = fl.tensor([3, 1, 2])
    assert sorted(x.tolist()) == [1, 2, 3] and sum(x).item() == 6 and max(x).item() == 3
    assert [v.item() for v in sorted(x)] == [1, 2, 3]
    a, b, c = x
    assert (a, b, c) == (3, 1, 2) and dict(zip("abc", x, strict=True))["b"].item() == 1
    assert memoryview(x).tolist() == [3, 1, 2] and bytes(fl.tensor([1, 2], dtype=fl.uint8)) == b"\x01\x02"


DISPATCH = """
import numpy as np
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.metrics import accuracy_score, r2_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import flambeau as fl

a = np.random.default_rng(0).standard_normal((40, 4))
with config_context(array_api_dispatch=True):
    x = fl.tensor(a)
    for made in (StandardScaler(), MinMaxScaler(), PCA(2, svd_solver="full")):
        mine = made.fit_transform(x)
        assert isinstance(mine, fl.Tensor) and mine.dtype is fl.float64, made
        with config_context(array_api_dispatch=False):
            theirs = made.fit_transform(a)
        np.testing.assert_allclose(abs(mine.numpy()), abs(theirs), atol=1e-9)
    assert isinstance(rbf_kernel(x, x), fl.Tensor)
    assert all(isinstance(part, fl.Tensor) for part in train_test_split(x, random_state=0))
    assert r2_score(x[:, 0], x[:, 0]) == 1 and accuracy_score(x[:, 0] > 0, x[:, 0] > 0) == 1
print("done")
"""


def test_scikit_learn_computes_with_tensors_when_dispatch_is_on():
    pytest.importorskip("sklearn")
    import os
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DISPATCH],
        capture_output=True, text=True, timeout=300, env={**os.environ, "SCIPY_ARRAY_API": "1"},
    )  # fmt: skip
    assert done.stdout.strip() == "done", done.stderr[-2000:]
