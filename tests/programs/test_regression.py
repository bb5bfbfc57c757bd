"""Fits of curves, planes and tables, from gradients written by hand to a scikit-learn pipeline."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .support import Programs, same_weights

programs = Programs()


@programs.add(rtol=1e-3)
def polynomial_by_hand(torch: Any) -> dict[str, Any]:
    """sin(x) by a cubic, gradients worked out by hand."""
    dtype = torch.float
    device = torch.device("cpu")
    x = torch.linspace(-math.pi, math.pi, 2000, device=device, dtype=dtype)
    y = torch.sin(x)
    a, b, c, d = (torch.tensor(value, device=device, dtype=dtype) for value in (0.1, -0.2, 0.3, 0.05))
    learning_rate = 1e-6
    losses = []
    for t in range(500):
        y_pred = a + b * x + c * x**2 + d * x**3
        loss = (y_pred - y).pow(2).sum().item()
        if t % 100 == 99:
            losses.append(loss)
        grad_y_pred = 2.0 * (y_pred - y)
        a -= learning_rate * grad_y_pred.sum()
        b -= learning_rate * (grad_y_pred * x).sum()
        c -= learning_rate * (grad_y_pred * x**2).sum()
        d -= learning_rate * (grad_y_pred * x**3).sum()
    assert losses[-1] < losses[0]
    return {"losses": losses, "result": f"y = {a.item():.3f} + {b.item():.3f} x", "weights": [a, b, c, d]}


@programs.add(rtol=1e-3)
def polynomial_with_autograd(torch: Any) -> dict[str, Any]:
    """The same fit with backward(), weights updated under no_grad and gradients set to None."""
    x = torch.linspace(-1, 1, 200)
    y = torch.exp(x)
    weights = [torch.full((), value, requires_grad=True) for value in (0.3, -0.1, 0.2, 0.4)]
    a, b, c, d = weights
    first = None
    for _ in range(300):
        y_pred = a + b * x + c * x**2 + d * x**3
        loss = (y_pred - y).pow(2).sum()
        if first is None:
            first = loss.item()
        loss.backward()
        with torch.no_grad():
            for weight in weights:
                weight -= 1e-3 * weight.grad
                weight.grad = None
    assert loss.item() < 0.1 * first
    return {"loss": loss, "weights": weights, "text": f"{loss.item():.2f}"}


@programs.add(rtol=1e-3)
def polynomial_with_a_function(torch: Any) -> dict[str, Any]:
    """The Legendre polynomial of degree 3 as an autograd.Function."""

    class LegendrePolynomial3(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            ctx.save_for_backward(input)
            return 0.5 * (5 * input**3 - 3 * input)

        @staticmethod
        def backward(ctx, grad_output):
            (input,) = ctx.saved_tensors
            return grad_output * 1.5 * (5 * input**2 - 1)

    x = torch.linspace(-math.pi, math.pi, 2000)
    y = torch.sin(x)
    a = torch.full((), 0.0, requires_grad=True)
    b = torch.full((), -1.0, requires_grad=True)
    c = torch.full((), 0.0, requires_grad=True)
    d = torch.full((), 0.3, requires_grad=True)
    losses = []
    for _ in range(400):
        P3 = LegendrePolynomial3.apply
        y_pred = a + b * P3(c + d * x)
        loss = (y_pred - y).pow(2).sum()
        losses.append(loss.item())
        loss.backward()
        with torch.no_grad():
            for weight in (a, b, c, d):
                weight -= 5e-6 * weight.grad
                weight.grad = None
    assert losses[-1] < losses[0]
    return {"losses": losses[::100], "weights": [a, b, c, d]}


@programs.add(rtol=1e-3)
def polynomial_module(torch: Any) -> dict[str, Any]:
    """A module with scalar parameters and a random number of terms; then nn.Sequential with Flatten."""
    import random

    random.seed(3)

    class DynamicNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Parameter(torch.tensor(0.1))
            self.b = torch.nn.Parameter(torch.tensor(0.2))
            self.e = torch.nn.Parameter(torch.tensor(-0.1))

        def forward(self, x):
            y = self.a + self.b * x
            for exp in range(4, random.randint(4, 6)):
                y = y + self.e * x**exp
            return y

        def string(self):
            return f"y = {self.a.item():.4f} + {self.b.item():.4f} x ? {self.e.item():.4f}"

    x = torch.linspace(-1, 1, 300)
    y = torch.sin(3 * x)
    model = DynamicNet()
    criterion = torch.nn.MSELoss(reduction="sum")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    for _ in range(100):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    dynamic = loss.item()

    p = torch.tensor([1, 2, 3])
    xx = x.unsqueeze(-1).pow(p)
    cubic = same_weights(torch, torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0, 1)))
    optimizer = torch.optim.RMSprop(cubic.parameters(), lr=1e-2)
    for _ in range(300):
        loss = torch.nn.MSELoss(reduction="sum")(cubic(xx), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    linear_layer = cubic[0]
    assert loss.item() < 10
    return {
        "dynamic": dynamic, "text": model.string(), "loss": loss, "bias": linear_layer.bias.item(),
        "weight": linear_layer.weight[:, 0].item(), "repr": repr(cubic),
    }  # fmt: skip


@programs.add(rtol=1e-4)
def linear_regression(torch: Any) -> dict[str, Any]:
    """Normal equations, lstsq and gradient descent agree with scikit-learn."""
    from sklearn.linear_model import LinearRegression

    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, 5))
    w = np.array([2.0, -1.0, 0.5, 3.0, -2.0])
    y = X @ w + 0.7 + 0.01 * generator.normal(size=200)
    reference = LinearRegression().fit(torch.from_numpy(X), torch.from_numpy(y))

    features = torch.cat([torch.from_numpy(X), torch.ones(200, 1, dtype=torch.double)], dim=1)
    target = torch.as_tensor(y).reshape(-1, 1)
    normal = torch.inverse(features.t() @ features) @ features.T @ target
    solved = torch.linalg.solve(features.T.mm(features), features.T.mm(target))
    least = torch.linalg.lstsq(features, target).solution
    np.testing.assert_allclose(normal[:-1, 0].numpy(), reference.coef_, rtol=1e-6)
    assert torch.allclose(normal, solved) and torch.allclose(normal, least)

    model = torch.nn.Linear(5, 1).double()
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.constant_(model.bias, 0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-4, nesterov=True, momentum=0.9)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(features[:, :5]), target).backward()
        optimizer.step()
    r2 = 1 - ((model(features[:, :5]) - target) ** 2).sum() / ((target - target.mean()) ** 2).sum()
    assert r2.item() > 0.99
    return {"normal": normal, "least": least, "weight": model.weight, "r2": r2}


@programs.add(rtol=1e-3)
def logistic_regression(torch: Any) -> dict[str, Any]:
    """Two moons-like blobs, BCE with logits against BCE after sigmoid, accuracy and a confusion matrix."""
    generator = np.random.default_rng(1)
    X = np.concatenate([generator.normal(-1, 1, (100, 2)), generator.normal(1, 1, (100, 2))]).astype(np.float32)
    y = np.repeat([0, 1], 100)
    inputs, labels = torch.tensor(X), torch.tensor(y, dtype=torch.float32).view(-1, 1)

    class LogisticRegression(torch.nn.Module):
        def __init__(self, input_dim, output_dim):
            super(LogisticRegression, self).__init__()  # noqa: UP008  (as older programs write it)
            self.linear = torch.nn.Linear(input_dim, output_dim)

        def forward(self, x):
            return torch.sigmoid(self.linear(x))

    model = same_weights(torch, LogisticRegression(2, 1))
    criterion = torch.nn.BCELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(80):
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
    logits = model.linear(inputs)
    also = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0]))(logits, labels)
    assert torch.isclose(loss, also, atol=1e-2)
    predicted = (model(inputs) >= 0.5).float()
    accuracy = (predicted == labels).sum().item() / labels.size(0)
    confusion = torch.zeros(2, 2, dtype=torch.int64)
    for t, p in zip(labels.view(-1).long(), predicted.view(-1).long()):
        confusion[t, p] += 1
    assert accuracy > 0.85
    assert confusion.sum() == 200
    true_positive = confusion.diag()[1]
    precision = true_positive / confusion[:, 1].sum()
    recall = true_positive.float() / confusion[1].sum().float()
    f1 = 2 * precision * recall / (precision + recall)
    return {"loss": loss, "accuracy": accuracy, "confusion": confusion, "f1": f1, "text": f"Accuracy: {accuracy:.2%}"}


@programs.add(rtol=2e-3, atol=1e-4)
def housing_table(torch: Any) -> dict[str, Any]:
    """Tabular regression: one-hot columns from pandas, StandardScaler, an MLP, early stopping, metrics in units."""
    import copy

    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.metrics import mean_absolute_error, r2_score
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    generator = np.random.default_rng(7)
    n = 600
    table = pd.DataFrame(
        {
            "rooms": generator.integers(1, 7, n),
            "area": generator.uniform(30, 200, n),
            "zone": generator.choice(["north", "south", "west"], n),
        }
    )
    price = 50_000 + 3_000 * table.area + 20_000 * table.rooms + 40_000 * (table.zone == "west")
    columns = ColumnTransformer([("n", StandardScaler(), ["rooms", "area"]), ("c", OneHotEncoder(), ["zone"])])
    Xa, Xb, ya, yb = train_test_split(table, price.to_numpy(), test_size=0.25, random_state=15)
    scaler = StandardScaler()
    train_x = torch.FloatTensor(np.asarray(columns.fit_transform(Xa)))
    test_x = torch.FloatTensor(np.asarray(columns.transform(Xb)))
    train_y = torch.FloatTensor(scaler.fit_transform(ya.reshape(-1, 1)))

    class Net(torch.nn.Module):
        def __init__(self, n_features):
            super().__init__()
            self.layers = torch.nn.ModuleList([torch.nn.Linear(n_features, 32), torch.nn.Linear(32, 16)])
            self.out = torch.nn.Linear(16, 1)

        def forward(self, x):
            for layer in self.layers:
                x = layer(x).relu()
            return self.out(x)

    model = same_weights(torch, Net(train_x.shape[1]))
    loss_fn, optimizer = torch.nn.HuberLoss(), torch.optim.AdamW(model.parameters(), lr=0.01)
    best, patience, state = float("inf"), 0, None
    for _epoch in range(60):
        model.train()
        permutation = torch.from_numpy(generator.permutation(len(train_x)))
        for i in range(0, train_x.size(0), 64):
            indices = permutation[i : i + 64]
            optimizer.zero_grad()
            loss = loss_fn(model(train_x[indices]), train_y[indices])
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            error = loss_fn(model(test_x), torch.FloatTensor(scaler.transform(yb.reshape(-1, 1)))).item()
        if error < best:
            best, patience, state = error, 0, copy.deepcopy(model.state_dict())
        else:
            patience += 1
            if patience >= 50:
                break
    model.load_state_dict(state)
    with torch.no_grad():
        prediction = scaler.inverse_transform(model(test_x))
    error = mean_absolute_error(yb, prediction)
    assert error < 20_000 and r2_score(yb, prediction) > 0.97
    mape = (torch.tensor(prediction).squeeze() - torch.tensor(yb)).abs().div(torch.tensor(yb)).mean()
    return {"best_below": best < 0.01, "mape_below": bool(mape < 0.1), "shape": list(prediction.shape)}


test_runs, test_agrees_with_torch = programs.tests()
