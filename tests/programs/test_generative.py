"""Models that generate: an autoencoder, a VAE, a GAN, a normalising flow and a denoising diffusion of points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .support import Programs, digits, same_weights

programs = Programs()


@programs.add(rtol=2e-3, atol=1e-4)
def variational_autoencoder(torch: Any) -> dict[str, Any]:
    """The reparametrisation trick with noise from NumPy; reconstruction by BCE and the KL divergence in closed form."""
    nn, F = torch.nn, torch.nn.functional
    noise = np.random.default_rng(0)

    class VAE(nn.Module):
        def __init__(self):
            super(VAE, self).__init__()  # noqa: UP008
            self.fc1 = nn.Linear(64, 32)
            self.fc21, self.fc22 = nn.Linear(32, 4), nn.Linear(32, 4)
            self.fc3, self.fc4 = nn.Linear(4, 32), nn.Linear(32, 64)

        def encode(self, x):
            h1 = F.relu(self.fc1(x))
            return self.fc21(h1), self.fc22(h1)

        def reparameterize(self, mu, logvar):
            std = torch.exp(0.5 * logvar)
            eps = torch.from_numpy(noise.standard_normal(tuple(std.shape))).to(std)
            assert torch.randn_like(std).shape == eps.shape
            return mu + eps * std

        def decode(self, z):
            return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

        def forward(self, x):
            mu, logvar = self.encode(x.view(-1, 64))
            z = self.reparameterize(mu, logvar)
            return self.decode(z), mu, logvar

    def loss_function(recon_x, x, mu, logvar):
        BCE = F.binary_cross_entropy(recon_x, x.view(-1, 64), reduction="sum")
        KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return BCE + KLD

    pictures = torch.tensor(digits(96, 1)[0]).float() / 255
    model = same_weights(torch, VAE())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(15):
        train_loss = 0
        for data in pictures.split(32):
            optimizer.zero_grad()
            recon_batch, mu, logvar = model(data)
            loss = loss_function(recon_batch, data, mu, logvar)
            loss.backward()
            train_loss += loss.item()
            optimizer.step()
        losses.append(train_loss / len(pictures))
    with torch.no_grad():
        sample = model.decode(torch.zeros(2, 4)).cpu().view(2, 1, 8, 8)
    assert losses[-1] < losses[0]
    return {"losses": losses, "sample": sample, "mu": mu.mean(), "text": f"====> loss: {losses[-1]:.1f}"}


@programs.add(rtol=5e-3, atol=5e-4)
def adversarial_pair(torch: Any) -> dict[str, Any]:
    """A GAN on a ring of points: two optimizers, detach for the discriminator's fakes, labels by full_like."""
    nn = torch.nn
    generator = np.random.default_rng(3)
    G = nn.Sequential(nn.Linear(4, 32), nn.LeakyReLU(0.2, inplace=True), nn.Linear(32, 2), nn.Tanh())
    G = same_weights(torch, G, 1)
    D = same_weights(torch, nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Dropout(0.0), nn.Linear(32, 1)), 2)
    criterion = nn.BCEWithLogitsLoss()
    optimizer_d = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.5, 0.999))
    history = []
    for _ in range(60):
        angle = torch.from_numpy(generator.uniform(0, 2 * math.pi, 64)).float()
        real = 0.8 * torch.stack((angle.cos(), angle.sin()), dim=1)
        D.zero_grad()
        output = D(real).view(-1)
        label = torch.full((64,), 1.0, dtype=torch.float)
        errD_real = criterion(output, label)
        errD_real.backward()
        D_x = output.sigmoid().mean().item()
        fake = G(torch.from_numpy(generator.standard_normal((64, 4))).float())
        label.fill_(0.0)
        errD_fake = criterion(D(fake.detach()).view(-1), label)
        errD_fake.backward()
        assert all(p.grad is None or not p.grad.any() for p in G.parameters()) or history
        optimizer_d.step()
        G.zero_grad()
        label.fill_(1)
        errG = criterion(D(fake).view(-1), torch.ones_like(label))
        errG.backward()
        optimizer_g.step()
        history.append([(errD_real + errD_fake).item(), errG.item(), D_x])
    assert all(math.isfinite(value) for row in history for value in row)
    radius = fake.pow(2).sum(1).sqrt()
    assert 0.2 < radius.mean().item() < 1.5
    return {"early": history[:20], "text": "[%d/%d] Loss_D" % (1, 60)}  # noqa: UP031


@programs.add(rtol=2e-3, atol=1e-4)
def coupling_flow(torch: Any) -> dict[str, Any]:
    """Affine couplings: the inverse undoes the flow, and the log-determinant is that of the Jacobian."""
    nn = torch.nn

    class Coupling(nn.Module):
        def __init__(self, mask):
            super().__init__()
            self.register_buffer("mask", mask)
            self.net = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 8))

        def _st(self, x):
            s, t = self.net(x * self.mask).chunk(2, dim=-1)
            return torch.tanh(s) * (1 - self.mask), t * (1 - self.mask)

        def forward(self, x):
            s, t = self._st(x)
            return x * torch.exp(s) + t, s.sum(-1)

        def inverse(self, y):
            s, t = self._st(y)
            return (y - t) * torch.exp(-s)

    mask = torch.tensor([1.0, 0.0, 1.0, 0.0])
    flow = same_weights(torch, nn.ModuleList([Coupling(mask), Coupling(1 - mask), Coupling(mask)]))
    base = np.random.default_rng(0).standard_normal((128, 4)).astype("f4")
    data = torch.from_numpy(base * np.array([2.0, 0.5, 1.0, 1.0], "f4") + np.array([1.0, -1.0, 0.0, 2.0], "f4"))

    def push(x):
        total = x.new_zeros(x.shape[0])
        for layer in flow:
            x, log_det = layer(x)
            total += log_det
        return x, total

    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        z, log_det = push(data)
        log_prob = -0.5 * (z**2 + math.log(2 * math.pi)).sum(-1) + log_det
        loss = -log_prob.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        z, log_det = push(data)
        x = z
        for layer in reversed(flow):
            x = layer.inverse(x)
        assert torch.allclose(x, data, atol=1e-4)
    point = data[:1].clone().requires_grad_()
    z, log_det = push(point)
    rows = [torch.autograd.grad(z[0, i], point, retain_graph=True)[0][0] for i in range(4)]
    sign, logabsdet = torch.linalg.slogdet(torch.stack(rows))
    assert torch.allclose(logabsdet, log_det[0], atol=1e-4)
    assert losses[-1] < losses[0]
    return {"losses": losses[::10], "log_det": log_det, "logabsdet": logabsdet, "buffers": list(flow.state_dict())[:3]}


@programs.add(rtol=2e-3, atol=1e-4)
def diffusion_of_points(torch: Any) -> dict[str, Any]:
    """DDPM in two dimensions: schedules by cumprod, gathered coefficients, sines of time, averaged weights."""
    import copy

    nn, F = torch.nn, torch.nn.functional
    generator = np.random.default_rng(2)
    T = 50
    betas = torch.linspace(1e-4, 0.05, T)
    alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
    previous = torch.cat([torch.ones(1), alphas_cumprod[:-1]])
    posterior_variance = betas * (1.0 - previous) / (1.0 - alphas_cumprod)

    def extract(a, t, x_shape):
        return a.gather(-1, t).reshape(t.shape[0], *((1,) * (len(x_shape) - 1)))

    class TimeEmbedding(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.dim = dim

        def forward(self, time):
            half = self.dim // 2
            frequencies = torch.exp(torch.arange(half, device=time.device) * -(math.log(10000) / (half - 1)))
            angles = time[:, None] * frequencies[None, :]
            return torch.cat((angles.sin(), angles.cos()), dim=-1)

    class Denoiser(nn.Module):
        def __init__(self):
            super().__init__()
            self.time = nn.Sequential(TimeEmbedding(8), nn.Linear(8, 16), nn.Mish())
            self.inp, self.out = nn.Linear(2, 16), nn.Linear(16, 2)

        def forward(self, x, t):
            return self.out(F.silu(self.inp(x) + self.time(t)))

    model = same_weights(torch, Denoiser())
    ema = copy.deepcopy(model).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    losses = []
    for _ in range(80):
        angle = generator.uniform(0, 2 * np.pi, 64)
        x0 = torch.tensor(np.stack([np.cos(angle), np.sin(angle)], 1), dtype=torch.float32)
        t = torch.from_numpy(generator.integers(0, T, 64)).long()
        noise = torch.from_numpy(generator.standard_normal((64, 2)).astype(np.float32))
        root = extract(alphas_cumprod.sqrt(), t, x0.shape)
        rest = extract((1 - alphas_cumprod).sqrt(), t, x0.shape)
        loss = F.smooth_l1_loss(model(root * x0 + rest * noise, t), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        for slow, fast in zip(ema.parameters(), model.parameters()):
            slow.data.mul_(0.9).add_(fast.data, alpha=0.1)
    assert np.mean(losses[-20:]) < np.mean(losses[:20])
    x = torch.from_numpy(generator.standard_normal((16, 2)).astype(np.float32))
    with torch.no_grad():
        for i in reversed(range(T)):
            t = torch.full((16,), i, dtype=torch.long)
            eps = ema(x, t)
            x = (x - betas[i] / (1 - alphas_cumprod[i]).sqrt() * eps) / (1 - betas[i]).sqrt()
            if i > 0:
                x += posterior_variance[i].sqrt() * torch.from_numpy(generator.standard_normal((16, 2)).astype("f4"))
    assert not any(p.requires_grad for p in ema.parameters())
    return {"losses": losses[::20], "variance": posterior_variance, "finite": bool(torch.isfinite(x).all())}


@programs.add(rtol=1e-3)
def tied_autoencoder(torch: Any) -> dict[str, Any]:
    """A decoder with the encoder's transposed weight; sparsity by a KL penalty, denoising by a mask, weight vectors."""
    nn, F = torch.nn, torch.nn.functional

    class TiedAutoencoder(nn.Module):
        def __init__(self, n_in, n_hidden):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(n_hidden, n_in))
            self.encoder_bias = nn.Parameter(torch.zeros(n_hidden))
            self.decoder_bias = nn.Parameter(torch.zeros(n_in))
            self.reset_parameters()

        def reset_parameters(self):
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
            fan_in, _ = nn.init._calculate_fan_in_and_fan_out(self.weight)
            bound = 1 / math.sqrt(fan_in)
            nn.init.uniform_(self.encoder_bias, -bound, bound)

        def forward(self, x):
            code = torch.sigmoid(F.linear(x, self.weight, self.encoder_bias))
            return F.linear(code, self.weight.t(), self.decoder_bias), code

        def extra_repr(self):
            return "n_in={}, n_hidden={}".format(*reversed(self.weight.shape))

    model = TiedAutoencoder(64, 24)
    assert model.weight.abs().max() <= 1 / 8 + 1e-6
    same_weights(torch, model)
    x = torch.as_tensor(digits(64, 4)[0], dtype=torch.float32).flatten(1) / 255.0
    keep = torch.from_numpy(np.random.default_rng(0).random((64, 64)) > 0.2)
    rho = torch.tensor(0.2)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        reconstruction, code = model(x * keep)
        rho_hat = code.mean(dim=0)
        penalty = (rho * torch.log(rho / rho_hat) + (1 - rho) * torch.log((1 - rho) / (1 - rho_hat))).sum()
        loss = F.mse_loss(reconstruction, x) + 1e-3 * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]
    vector = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(vector * 0.5, model.parameters())
    return {"losses": losses[::10], "repr": repr(model), "norm": vector.norm(), "half": model.weight.norm(p="fro")}


test_runs, test_agrees_with_torch = programs.tests()
