"""Classifiers of pictures, tables and texts, with datasets, loaders, schedulers, checkpoints and metrics."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from .support import Programs, digits, same_weights

programs = Programs()


@programs.add(rtol=1e-3)
def picture_classifier(torch: Any) -> dict[str, Any]:
    """The quickstart: Dataset with transforms, DataLoader, train and test loops, StepLR, per-class accuracy."""
    from importlib import import_module

    data = import_module(f"{torch.__name__}.utils.data")
    nn, F = torch.nn, torch.nn.functional

    class Pictures(data.Dataset):
        def __init__(self, samples, seed, transform=None, target_transform=None):
            self.pictures, self.labels = digits(samples, seed)
            self.transform, self.target_transform = transform, target_transform

        def __len__(self):
            return len(self.labels)

        def __getitem__(self, idx):
            if torch.is_tensor(idx):
                idx = idx.tolist()
            picture, label = self.pictures[idx], self.labels[idx]
            if self.transform:
                picture = self.transform(picture)
            if self.target_transform:
                label = self.target_transform(label)
            return picture, label

    def to_tensor(picture):
        return torch.from_numpy(picture).unsqueeze(0).float().div(255)

    def normalise(mean, std):
        return lambda tensor: (tensor - mean) / std

    def compose(*steps):
        def run(value):
            for step in steps:
                value = step(value)
            return value

        return run

    class NeuralNetwork(nn.Module):
        def __init__(self):
            super().__init__()
            self.flatten = nn.Flatten()
            self.linear_relu_stack = nn.Sequential(
                nn.Linear(8 * 8, 64), nn.ReLU(inplace=True), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)
            )

        def forward(self, x):
            x = self.flatten(x)
            return self.linear_relu_stack(x)

    transform = compose(to_tensor, normalise(0.5, 0.5))
    training = Pictures(320, 0, transform)
    testing = Pictures(100, 1, transform, target_transform=int)
    train_loader = data.DataLoader(training, batch_size=32, shuffle=False, num_workers=0, drop_last=True)
    test_loader = data.DataLoader(testing, batch_size=50)
    model = same_weights(torch, NeuralNetwork().to("cpu"))
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=5e-2, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    history = []
    for _epoch in range(4):
        size = len(train_loader.dataset)
        model.train()
        running_loss = 0.0
        for batch, (X, y) in enumerate(train_loader):
            pred = model(X)
            loss = loss_fn(pred, y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            running_loss += loss.item() * X.size(0)
            if batch % 100 == 0:
                print(f"loss: {loss.item():>7f}  [{(batch + 1) * len(X):>5d}/{size:>5d}]")
        scheduler.step()
        history.append(running_loss / size)
    model.eval()
    test_loss, correct = 0.0, 0
    class_correct, class_total = [0.0] * 10, [0.0] * 10
    with torch.no_grad():
        for X, y in test_loader:
            pred = model(X)
            test_loss += loss_fn(pred, y).item()
            correct += (pred.argmax(1) == y).type(torch.float).sum().item()
            _, predicted = torch.max(pred, 1)
            for label, prediction in zip(y, predicted):
                class_correct[label] += (label == prediction).item()
                class_total[label] += 1
    test_loss /= len(test_loader)
    probabilities, classes = F.softmax(pred, dim=1).topk(3, dim=1)
    images, labels = next(iter(test_loader))
    assert images.shape == (50, 1, 8, 8) and labels.dtype == torch.int64
    assert correct / len(testing) > 0.9 and sum(class_correct) == correct
    return {
        "history": history, "test_loss": test_loss, "correct": correct, "total": class_total, "top": probabilities,
        "classes": classes[:, 0], "rate": scheduler.get_last_lr(), "model": str(model),
        "text": f"Accuracy: {(100 * correct / len(testing)):>0.1f}%, shape {images.shape}, {images.dtype}",
    }  # fmt: skip


@programs.add(rtol=1e-3)
def checkpoint_and_resume(torch: Any) -> dict[str, Any]:
    """A run stopped half way and resumed from a checkpoint ends as the run that was not stopped."""
    nn = torch.nn
    from importlib import import_module

    data = import_module(f"{torch.__name__}.utils.data")
    pictures, labels = digits(128, 2)
    dataset = data.TensorDataset(torch.tensor(pictures).float().view(128, -1) / 255.0, torch.tensor(labels))

    def make():
        model = same_weights(torch, nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Dropout(p=0.0), nn.Linear(32, 10)))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, betas=(0.9, 0.99), eps=1e-8)
        return model, optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)

    def train(model, optimizer, scheduler, epochs):
        losses = []
        for _ in epochs:
            for inputs, targets in data.DataLoader(dataset, batch_size=64):
                optimizer.zero_grad(set_to_none=True)
                loss = nn.functional.cross_entropy(model(inputs), targets, label_smoothing=0.1)
                loss.backward()
                total_norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                optimizer.step()
            scheduler.step()
            losses.append(loss.item())
        return losses, total_norm

    straight = make()
    whole, norm = train(*straight, range(6))
    model, optimizer, scheduler = make()
    first, _ = train(model, optimizer, scheduler, range(3))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "checkpoint.pt")
        torch.save({
            "epoch": 3, "model_state_dict": model.state_dict(), "optimizer_state_dict": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(), "loss": first[-1],
        }, path)  # fmt: skip
        checkpoint = torch.load(path, map_location=torch.device("cpu"))
        weights = os.path.join(folder, "model_weights.pth")
        torch.save(model.state_dict(), weights)
        again = make()[0]
        message = str(again.load_state_dict(torch.load(weights, weights_only=True)))
    model, optimizer, scheduler = make()
    model.load_state_dict(checkpoint["model_state_dict"])
    optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
    scheduler.load_state_dict(checkpoint["scheduler"])
    second, _ = train(model, optimizer, scheduler, range(checkpoint["epoch"], 6))
    assert first + second == whole
    for one, two in zip(model.parameters(), straight[0].parameters()):
        assert torch.equal(one, two)
    keys = sorted(optimizer.state_dict()["param_groups"][0])
    return {
        "whole": whole, "norm": norm, "keys": list(model.state_dict().keys()), "message": message,
        "has": all(key in keys for key in ("lr", "betas", "eps", "weight_decay", "amsgrad", "params")),
        "rate": optimizer.param_groups[0]["lr"],
    }  # fmt: skip


@programs.add(rtol=1e-3)
def accumulation_and_schedules(torch: Any) -> dict[str, Any]:
    """Gradients added over small batches equal those of the large one; warm-up, groups, freezing, ReduceLROnPlateau."""
    nn = torch.nn
    generator = np.random.default_rng(4)
    x = torch.from_numpy(generator.standard_normal((64, 10)).astype("float32"))
    y = (x[:, :1] * 2 - x[:, 1:2]).detach()
    backbone = nn.Sequential(nn.Linear(10, 16), nn.GELU())
    head = nn.Linear(16, 1)
    model = same_weights(torch, nn.Sequential(backbone, head))
    nn.MSELoss()(model(x), y).backward()
    large = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    for micro_x, micro_y in zip(x.chunk(4), torch.split(y, 16)):
        (nn.MSELoss()(model(micro_x), micro_y) / 4).backward()
    for p, expected in zip(model.parameters(), large):
        torch.testing.assert_close(p.grad, expected)
    for p in backbone[0].parameters():
        p.requires_grad = False
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.nelement() for p in model.parameters())
    for p in backbone.parameters():
        p.requires_grad_(True)
    optimizer = torch.optim.Adam(
        [{"params": backbone.parameters(), "lr": 1e-3}, {"params": head.parameters(), "weight_decay": 1e-2}], lr=1e-2
    )
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda step: min(1.0, (step + 1) / 5))
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min", factor=0.5, patience=2)
    rates, losses = [], []
    for epoch in range(30):
        optimizer.zero_grad()
        loss = nn.L1Loss()(model(x), y)
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.5)
        optimizer.step()
        if epoch < 6:
            warmup.step()
        else:
            plateau.step(1.0 if epoch < 12 else loss)
        rates.append([group["lr"] for group in optimizer.param_groups])
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(3))]})
    one_cycle = torch.optim.lr_scheduler.OneCycleLR(torch.optim.SGD(head.parameters(), lr=0.1), 0.5, total_steps=10)
    return {"trainable": trainable, "total": total, "rates": rates, "losses": losses, "cycle": one_cycle.get_last_lr()}


@programs.add(rtol=1e-3)
def bag_of_words(torch: Any) -> dict[str, Any]:
    """Texts to counts and to mean embeddings, padded batches by collate_fn, NLLLoss."""
    from collections import Counter

    nn, F = torch.nn, torch.nn.functional
    texts = [
        ("give it to me", 0), ("me gusta comer en la cafeteria", 1), ("no creo que sea una buena idea", 1),
        ("no it is not a good idea to get lost at sea", 0), ("yo creo que si", 1), ("it is lost on me", 0),
    ]  # fmt: skip
    counts = Counter(word for text, _ in texts for word in text.split())
    vocabulary = {"<pad>": 0, **{word: i for i, word in enumerate(sorted(counts), 1)}}

    def bow(text):
        vector = torch.zeros(len(vocabulary))
        for word in text.split():
            vector[vocabulary[word]] += 1
        return vector.view(1, -1)

    class BoWClassifier(nn.Module):
        def __init__(self, num_labels, vocab_size):
            super().__init__()
            self.linear = nn.Linear(vocab_size, num_labels)

        def forward(self, vector):
            return F.log_softmax(self.linear(vector), dim=1)

    model = same_weights(torch, BoWClassifier(2, len(vocabulary)))
    loss_function, optimizer = nn.NLLLoss(), torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(20):
        for text, label in texts:
            model.zero_grad()
            loss = loss_function(model(bow(text)), torch.LongTensor([label]))
            loss.backward()
            optimizer.step()
    assert all(model(bow(text)).argmax().item() == label for text, label in texts)

    def collate(batch):
        ids = [torch.tensor([vocabulary[w] for w in text.split()]) for text, _ in batch]
        lengths = torch.tensor([len(i) for i in ids])
        padded = torch.zeros(len(ids), int(lengths.max()), dtype=torch.long)
        for row, i in enumerate(ids):
            padded[row, : len(i)] = i
        return padded, lengths, torch.tensor([label for _, label in batch])

    class MeanEmbedding(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(len(vocabulary), 8, padding_idx=0)
            self.fc = nn.Linear(8, 2)

        def forward(self, padded, lengths):
            mask = (padded != 0).unsqueeze(-1)
            summed = (self.embedding(padded) * mask).sum(dim=1)
            return self.fc(summed / lengths.unsqueeze(1).clamp(min=1))

    from importlib import import_module

    DataLoader = import_module(f"{torch.__name__}.utils.data").DataLoader
    second = same_weights(torch, MeanEmbedding())
    with torch.no_grad():
        second.embedding.weight[0].fill_(0)
    optimizer = torch.optim.Adagrad(second.parameters(), lr=0.3)
    for _ in range(15):
        for padded, lengths, labels in DataLoader(texts, batch_size=3, collate_fn=collate):
            optimizer.zero_grad()
            loss = F.cross_entropy(second(padded, lengths), labels, weight=torch.tensor([1.0, 1.5]))
            loss.backward()
            optimizer.step()
    assert second.embedding.weight[0].abs().sum() == 0
    similarity = F.cosine_similarity(second.embedding.weight[1:2], second.embedding.weight[1:])
    return {"linear": model.linear.weight, "loss": loss, "similarity": similarity, "repr": str(second)}


@programs.add(rtol=1e-3)
def matrix_factorisation(torch: Any) -> dict[str, Any]:
    """Ratings by the product of two embeddings with biases; regularised, RMSE on held-out pairs."""
    nn = torch.nn
    generator = np.random.default_rng(5)
    n_users, n_items, n_factors = 30, 20, 4
    truth = generator.normal(size=(n_users, n_factors)) @ generator.normal(size=(n_factors, n_items))
    users, items = (index.ravel() for index in np.indices(truth.shape))
    order = generator.permutation(len(users))
    split = int(0.9 * len(order))

    class MatrixFactorization(nn.Module):
        def __init__(self):
            super().__init__()
            self.user_factors = nn.Embedding(n_users, n_factors)
            self.item_factors = nn.Embedding(n_items, n_factors)
            self.user_biases, self.item_biases = nn.Embedding(n_users, 1), nn.Embedding(n_items, 1)

        def forward(self, user, item):
            pred = self.user_biases(user) + self.item_biases(item)
            pred += (self.user_factors(user) * self.item_factors(item)).sum(1, keepdim=True)
            return pred.squeeze()

    model = same_weights(torch, MatrixFactorization())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=1e-5)
    train, test = order[:split], order[split:]
    for _ in range(120):
        optimizer.zero_grad()
        prediction = model(torch.LongTensor(users[train]), torch.LongTensor(items[train]))
        loss = nn.functional.mse_loss(prediction, torch.FloatTensor(truth[users[train], items[train]]))
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        held = model(torch.tensor(users[test]), torch.tensor(items[test]))
        rmse = torch.sqrt(torch.mean((held - torch.tensor(truth[users[test], items[test]]).float()) ** 2))
        scores = model.user_factors.weight @ model.item_factors.weight.T
    values, best = torch.topk(scores, k=5, dim=-1)
    assert loss.item() < 0.5 and scores.shape == torch.Size([n_users, n_items])
    assert (values.diff(dim=1) <= 0).all()
    return {"loss": round(loss.item(), 2), "rmse": round(rmse.item(), 1), "shape": list(best.shape)}


test_runs, test_agrees_with_torch = programs.tests()
