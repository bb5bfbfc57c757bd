"""Models of language: a bigram counter, an n-gram network, a GPT from linear layers and a recurrent cell by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .support import Programs, same_weights

programs = Programs()

TEXT = (
    "When forty winters shall besiege thy brow, And dig deep trenches in thy beauty's field, "
    "Thy youth's proud livery so gazed on now, Will be a totter'd weed of small worth held. "
) * 4


@programs.add(rtol=1e-3)
def bigram_counts(torch: Any) -> dict[str, Any]:
    """Counts into a matrix, rows normalised, samples by multinomial; then the same model as one linear layer."""
    words = "emma olivia ava isabella sophia charlotte mia amelia harper evelyn".split()
    chars = ["."] + sorted(set("".join(words)))
    stoi = {s: i for i, s in enumerate(chars)}
    itos = {i: s for s, i in stoi.items()}
    N = torch.zeros((len(chars), len(chars)), dtype=torch.int32)
    xs, ys = [], []
    for w in words:
        for ch1, ch2 in zip("." + w, w + "."):
            N[stoi[ch1], stoi[ch2]] += 1
            xs.append(stoi[ch1])
            ys.append(stoi[ch2])
    P = (N + 1).float()
    P /= P.sum(1, keepdim=True)
    assert torch.allclose(P.sum(1), torch.ones(len(chars)))
    g = torch.Generator().manual_seed(2147483647)
    names = []
    for _ in range(3):
        out, ix = [], 0
        while True:
            ix = torch.multinomial(P[ix], num_samples=1, replacement=True, generator=g).item()
            if ix == 0:
                break
            out.append(itos[ix])
        names.append("".join(out))
    assert set("".join(names)) <= set(chars)
    xs, ys = torch.tensor(xs), torch.tensor(ys)
    nll = -P[xs, ys].log().mean()
    W = torch.zeros((len(chars), len(chars)), requires_grad=True)
    xenc = torch.nn.functional.one_hot(xs, num_classes=len(chars)).float()
    for _ in range(100):
        logits = xenc @ W
        counts = logits.exp()
        probs = counts / counts.sum(1, keepdims=True)
        loss = -probs[torch.arange(len(xs)), ys].log().mean() + 0.01 * (W**2).mean()
        W.grad = None
        loss.backward()
        W.data += -20 * W.grad
    assert loss.item() < nll.item() + 0.1
    return {"N": N, "nll": nll, "loss": loss, "row": N[0], "string": str(N[:4, :6])}


@programs.add(rtol=2e-3, atol=1e-4)
def ngram_network(torch: Any) -> dict[str, Any]:
    """Embeddings of a context of three characters, batch normalisation by hand, updates without an optimizer."""
    F = torch.nn.functional
    chars = sorted(set(TEXT))
    stoi = {c: i for i, c in enumerate(chars)}
    block_size, n_embd, n_hidden, vocab_size = 3, 6, 24, len(chars)
    X, Y, context = [], [], [0] * block_size
    for ch in TEXT:
        X.append(context)
        Y.append(stoi[ch])
        context = context[1:] + [stoi[ch]]
    X, Y = torch.tensor(X), torch.tensor(Y)
    generator = np.random.default_rng(0)

    def randn(*shape):
        return torch.from_numpy(generator.standard_normal(shape)).float()

    C = randn(vocab_size, n_embd)
    W1 = randn(n_embd * block_size, n_hidden) * (5 / 3) / ((n_embd * block_size) ** 0.5)
    W2 = randn(n_hidden, vocab_size) * 0.01
    b2 = torch.zeros(vocab_size)
    bngain, bnbias = torch.ones((1, n_hidden)), torch.zeros((1, n_hidden))
    bnmean_running, bnstd_running = torch.zeros((1, n_hidden)), torch.ones((1, n_hidden))
    parameters = [C, W1, W2, b2, bngain, bnbias]
    for p in parameters:
        p.requires_grad = True
    losses = []
    for step in range(120):
        ix = torch.from_numpy(generator.integers(0, X.shape[0], (32,)))
        Xb, Yb = X[ix], Y[ix]
        emb = C[Xb]
        hpreact = emb.view(emb.shape[0], -1) @ W1
        bnmeani, bnstdi = hpreact.mean(0, keepdim=True), hpreact.std(0, keepdim=True)
        hpreact = bngain * (hpreact - bnmeani) / bnstdi + bnbias
        with torch.no_grad():
            bnmean_running = 0.9 * bnmean_running + 0.1 * bnmeani
            bnstd_running = 0.9 * bnstd_running + 0.1 * bnstdi
        h = torch.tanh(hpreact)
        logits = h @ W2 + b2
        loss = F.cross_entropy(logits, Yb)
        for p in parameters:
            p.grad = None
        if step == 0:
            emb.retain_grad()
        loss.backward()
        if step == 0:
            first_gradient = emb.grad.norm()
        for p in parameters:
            p.data += -0.1 * p.grad
        losses.append(loss.log10().item())
    saturated = (h.abs() > 0.97).float().mean()
    smoothed = torch.tensor(losses).view(-1, 20).mean(1)
    assert smoothed[-1] < smoothed[0]
    return {"smoothed": smoothed, "gradient": first_gradient, "saturated": saturated, "std": bnstd_running.mean()}


@programs.add(rtol=2e-3, atol=1e-4)
def gpt_from_scratch(torch: Any) -> dict[str, Any]:
    """Causal self-attention from linear layers, tied weights, decay groups, generation with top-k and crops."""
    nn, F = torch.nn, torch.nn.functional

    class CausalSelfAttention(nn.Module):
        def __init__(self, config):
            super().__init__()
            assert config["n_embd"] % config["n_head"] == 0
            self.c_attn = nn.Linear(config["n_embd"], 3 * config["n_embd"], bias=False)
            self.c_proj = nn.Linear(config["n_embd"], config["n_embd"])
            self.attn_dropout = nn.Dropout(config["dropout"])
            self.n_head, self.n_embd = config["n_head"], config["n_embd"]
            size = config["block_size"]
            self.register_buffer("bias", torch.tril(torch.ones(size, size)).view(1, 1, size, size))

        def forward(self, x):
            B, T, C = x.size()
            q, k, v = self.c_attn(x).split(self.n_embd, dim=2)
            k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
            q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
            v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
            att = self.attn_dropout(F.softmax(att, dim=-1))
            y = att @ v
            y = y.transpose(1, 2).contiguous().view(B, T, C)
            return self.c_proj(y)

    class NewGELU(nn.Module):
        def forward(self, x):
            return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))

    class Block(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(config["n_embd"]), nn.LayerNorm(config["n_embd"])
            self.attn = CausalSelfAttention(config)
            self.mlp = nn.ModuleDict({
                "c_fc": nn.Linear(config["n_embd"], 4 * config["n_embd"]), "act": NewGELU(),
                "c_proj": nn.Linear(4 * config["n_embd"], config["n_embd"]), "dropout": nn.Dropout(0.0),
            })  # fmt: skip
            m = self.mlp
            self.mlpf = lambda x: m.dropout(m.c_proj(m.act(m.c_fc(x))))

        def forward(self, x):
            x = x + self.attn(self.ln_1(x))
            return x + self.mlpf(self.ln_2(x))

    class GPT(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.config = config
            self.transformer = nn.ModuleDict(dict(
                wte=nn.Embedding(config["vocab_size"], config["n_embd"]),
                wpe=nn.Embedding(config["block_size"], config["n_embd"]), drop=nn.Dropout(config["dropout"]),
                h=nn.ModuleList([Block(config) for _ in range(config["n_layer"])]), ln_f=nn.LayerNorm(config["n_embd"]),
            ))  # fmt: skip
            self.lm_head = nn.Linear(config["n_embd"], config["vocab_size"], bias=False)
            self.transformer.wte.weight = self.lm_head.weight
            self.apply(self._init_weights)
            for pn, p in self.named_parameters():
                if pn.endswith("c_proj.weight"):
                    torch.nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * config["n_layer"]))

        def _init_weights(self, module):
            if isinstance(module, nn.Linear):
                torch.nn.init.normal_(module.weight, mean=0.0, std=0.02)
                if module.bias is not None:
                    torch.nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                torch.nn.init.normal_(module.weight, mean=0.0, std=0.02)

        def configure_optimizers(self, weight_decay, learning_rate):
            params = {pn: p for pn, p in self.named_parameters() if p.requires_grad}
            decay = [p for p in params.values() if p.dim() >= 2]
            nodecay = [p for p in params.values() if p.dim() < 2]
            groups = [{"params": decay, "weight_decay": weight_decay}, {"params": nodecay, "weight_decay": 0.0}]
            return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95))

        def forward(self, idx, targets=None):
            device = idx.device
            b, t = idx.size()
            assert t <= self.config["block_size"], f"Cannot forward sequence of length {t}"
            pos = torch.arange(0, t, dtype=torch.long, device=device).unsqueeze(0)
            x = self.transformer.drop(self.transformer.wte(idx) + self.transformer.wpe(pos))
            for block in self.transformer.h:
                x = block(x)
            x = self.transformer.ln_f(x)
            if targets is None:
                return self.lm_head(x[:, [-1], :]), None
            logits = self.lm_head(x)
            return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)

        @torch.no_grad()
        def generate(self, idx, max_new_tokens, temperature=1.0, do_sample=False, top_k=None):
            for _ in range(max_new_tokens):
                size = self.config["block_size"]
                idx_cond = idx if idx.size(1) <= size else idx[:, -size:]
                logits, _ = self(idx_cond)
                logits = logits[:, -1, :] / temperature
                if top_k is not None:
                    v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
                    logits[logits < v[:, [-1]]] = -float("Inf")
                probs = F.softmax(logits, dim=-1)
                if do_sample:
                    idx_next = torch.multinomial(probs, num_samples=1)
                else:
                    _, idx_next = torch.topk(probs, k=1, dim=-1)
                idx = torch.cat((idx, idx_next), dim=1)
            return idx

    chars = sorted(set(TEXT))
    stoi = {c: i for i, c in enumerate(chars)}
    data = torch.tensor([stoi[c] for c in TEXT], dtype=torch.long)
    config = dict(n_embd=32, n_head=4, n_layer=2, block_size=16, vocab_size=len(chars), dropout=0.0)
    model = same_weights(torch, GPT(config))
    optimizer = model.configure_optimizers(0.1, 5e-3)
    generator = np.random.default_rng(1)
    losses = []
    model.train()
    for _ in range(40):
        ix = generator.integers(0, len(data) - 16, (8,))
        x = torch.stack([data[i : i + 16] for i in ix])
        y = torch.stack([data[i + 1 : i + 17] for i in ix])
        logits, loss = model(x, y)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    start = torch.tensor([[stoi["W"]]])
    sampled = model.generate(start, 20, do_sample=True, top_k=5)
    assert sampled.shape == (1, 21) and int(sampled.max()) < len(chars)
    greedy = model.generate(start, 3)
    assert losses[-1] < losses[0] - 0.4
    assert model.transformer.wte.weight is model.lm_head.weight
    return {
        "losses": losses, "greedy": greedy, "parameters": sum(p.numel() for p in model.parameters()),
        "names": [name for name, _ in model.named_parameters()], "state": list(model.state_dict()), "repr": repr(model),
    }  # fmt: skip


@programs.add(rtol=2e-3, atol=1e-4)
def recurrent_cell_by_hand(torch: Any) -> dict[str, Any]:
    """A name classifier: an RNN cell from linear layers, a hidden state carried through a loop, gates with chunk."""
    nn = torch.nn

    class RNN(nn.Module):
        def __init__(self, input_size, hidden_size, output_size):
            super().__init__()
            self.hidden_size = hidden_size
            self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
            self.h2o = nn.Linear(hidden_size, output_size)
            self.softmax = nn.LogSoftmax(dim=1)

        def forward(self, input, hidden):
            hidden = torch.tanh(self.i2h(torch.cat((input, hidden), 1)))
            return self.softmax(self.h2o(hidden)), hidden

        def init_hidden(self):
            return torch.zeros(1, self.hidden_size)

    names = [("abcab", 0), ("bcabc", 0), ("xyzxy", 1), ("yzxyz", 1)]
    letters = sorted(set("".join(name for name, _ in names)))
    rnn = same_weights(torch, RNN(len(letters), 12, 2))
    criterion, losses = nn.NLLLoss(), []
    for _ in range(40):
        for name, label in names:
            line = torch.zeros(len(name), 1, len(letters))
            for li, letter in enumerate(name):
                line[li][0][letters.index(letter)] = 1
            hidden = rnn.init_hidden()
            rnn.zero_grad()
            for i in range(line.size()[0]):
                output, hidden = rnn(line[i], hidden)
            loss = criterion(output, torch.tensor([label], dtype=torch.long))
            loss.backward()
            for p in rnn.parameters():
                p.data.add_(p.grad.data, alpha=-0.05)
        losses.append(loss.item())
    assert losses[-1] < 0.3
    top_n, top_i = output.topk(1)

    class LSTMCellByHand(nn.Module):
        def __init__(self, input_size, hidden_size):
            super().__init__()
            self.x2h = nn.Linear(input_size, 4 * hidden_size)
            self.h2h = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

        def forward(self, x, state):
            h, c = state
            i, f, g, o = (self.x2h(x) + self.h2h(h)).chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            return o.sigmoid() * c.tanh(), c

    cell = same_weights(torch, LSTMCellByHand(3, 5))
    sequence = torch.from_numpy(np.random.default_rng(3).standard_normal((7, 2, 3)).astype("f4"))
    state = (sequence.new_zeros(2, 5), sequence.new_zeros(2, 5))
    outputs = []
    for x in sequence:
        state = cell(x, state)
        outputs.append(state[0])
    stacked = torch.stack(outputs, dim=1)
    detached = [s.detach() for s in state]
    stacked.mean().backward()
    return {
        "losses": losses[::10], "top": top_i.item(), "log": top_n, "hidden": stacked, "state": detached,
        "gradient": cell.h2h.weight.grad, "grad_norm": cell.x2h.weight.grad.norm(2).item(),
    }  # fmt: skip


test_runs, test_agrees_with_torch = programs.tests()
