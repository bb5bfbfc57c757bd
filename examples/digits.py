"""Learn scikit-learn's handwritten digits: batches, cross entropy, a schedule, saving.

Run: python examples/digits.py
"""

import tempfile

from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

import flambeau as fl
from flambeau import nn
from flambeau.utils.data import DataLoader, TensorDataset

fl.manual_seed(0)
images, labels = load_digits(return_X_y=True)
train_images, test_images, train_labels, test_labels = train_test_split(images / 16, labels, random_state=0)
loader = DataLoader(
    TensorDataset(fl.tensor(train_images).float(), fl.tensor(train_labels)), batch_size=64, shuffle=True
)  # fmt: skip

model = nn.Sequential(
    nn.Linear(64, 128), nn.LayerNorm(128), nn.GELU(), nn.Dropout(0.2), nn.Linear(128, 10)
)  # fmt: skip
loss_function = nn.CrossEntropyLoss(label_smoothing=0.05)
optimizer = fl.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
schedule = fl.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)

for epoch in range(30):
    total = 0.0
    for batch, targets in loader:
        optimizer.zero_grad()
        loss = loss_function(model(batch), targets)
        loss.backward()
        optimizer.step()
        total += loss.item()
    schedule.step()
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1:2}  loss {total / len(loader):.3f}")

model.eval()
with fl.no_grad():
    predicted = model(fl.tensor(test_images).float()).argmax(1)
print(f"test accuracy {accuracy_score(test_labels, predicted):.3f}")

with tempfile.TemporaryDirectory() as folder:
    fl.save(model.state_dict(), f"{folder}/digits.safetensors")
    model.load_state_dict(fl.load(f"{folder}/digits.safetensors"))
