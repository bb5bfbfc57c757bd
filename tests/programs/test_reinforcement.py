"""Agents: a Q-network with a replay memory and a target, REINFORCE, actor and critic, a bandit."""

from __future__ import annotations

import random
from collections import deque, namedtuple
from itertools import count
from typing import Any

import numpy as np

from .support import Programs, same_weights

programs = Programs()
Transition = namedtuple("Transition", ("state", "action", "next_state", "reward"))


class Corridor:
    """Five cells; left or right; a reward of 1 at the right end."""

    def reset(self):
        self.place = 2
        return self._observe()

    def _observe(self):
        observation = np.zeros(5, np.float32)
        observation[self.place] = 1
        return observation

    def step(self, action):
        self.place += 1 if action == 1 else -1
        done = self.place in (0, 4)
        return self._observe(), float(self.place == 4) - 0.01, done


@programs.add(rtol=5e-3, atol=5e-4)
def deep_q_network(torch: Any) -> dict[str, Any]:
    """Replay memory, masks of non-final states, gather of the taken actions, soft updates of the target network."""
    nn = torch.nn
    random.seed(0)

    class ReplayMemory:
        def __init__(self, capacity):
            self.memory = deque(maxlen=capacity)

        def push(self, *args):
            self.memory.append(Transition(*args))

        def sample(self, batch_size):
            return random.sample(self.memory, batch_size)

        def __len__(self):
            return len(self.memory)

    class DQN(nn.Module):
        def __init__(self, n_observations, n_actions):
            super().__init__()
            self.layer1, self.layer2 = nn.Linear(n_observations, 16), nn.Linear(16, n_actions)

        def forward(self, x):
            return self.layer2(nn.functional.relu(self.layer1(x)))

    policy_net, target_net = same_weights(torch, DQN(5, 2)), DQN(5, 2)
    target_net.load_state_dict(policy_net.state_dict())
    optimizer = torch.optim.AdamW(policy_net.parameters(), lr=1e-2, amsgrad=True)
    memory, environment, losses = ReplayMemory(500), Corridor(), []
    for _episode in range(30):
        state = torch.tensor(environment.reset(), dtype=torch.float32).unsqueeze(0)
        for t in count():
            if random.random() < 0.5:
                with torch.no_grad():
                    action = policy_net(state).max(1).indices.view(1, 1)
            else:
                action = torch.tensor([[random.randrange(2)]], dtype=torch.long)
            observation, reward, done = environment.step(action.item())
            reward = torch.tensor([reward])
            next_state = None if done else torch.tensor(observation, dtype=torch.float32).unsqueeze(0)
            memory.push(state, action, next_state, reward)
            state = next_state
            if len(memory) >= 16:
                batch = Transition(*zip(*memory.sample(16)))
                non_final_mask = torch.tensor(tuple(s is not None for s in batch.next_state), dtype=torch.bool)
                non_final = torch.cat([s for s in batch.next_state if s is not None])
                state_action_values = policy_net(torch.cat(batch.state)).gather(1, torch.cat(batch.action))
                next_state_values = torch.zeros(16)
                with torch.no_grad():
                    next_state_values[non_final_mask] = target_net(non_final).max(1).values
                expected = (next_state_values * 0.9) + torch.cat(batch.reward)
                loss = nn.SmoothL1Loss()(state_action_values, expected.unsqueeze(1))
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
                optimizer.step()
                losses.append(loss.item())
                target_state, policy_state = target_net.state_dict(), policy_net.state_dict()
                for key in policy_state:
                    target_state[key] = policy_state[key] * 0.1 + target_state[key] * 0.9
                target_net.load_state_dict(target_state)
            if done or t > 20:
                break
    values = policy_net(torch.eye(5))
    assert (values.argmax(dim=1)[1:4] == 1).all()
    return {"losses": losses[:30], "values": values.argmax(1)[1:4]}


@programs.add(rtol=5e-3, atol=5e-4)
def reinforce(torch: Any) -> dict[str, Any]:
    """Log-probabilities kept in lists, discounted and standardised returns, one update an episode."""
    nn = torch.nn
    draw = np.random.default_rng(1)
    eps = np.finfo(np.float32).eps.item()
    policy = same_weights(torch, nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2), nn.Softmax(dim=-1)))
    optimizer = torch.optim.Adam(policy.parameters(), lr=2e-2)
    environment, losses = Corridor(), []
    for _episode in range(60):
        state, rewards, log_probs, entropies = environment.reset(), [], [], []
        for _ in range(30):
            probs = policy(torch.from_numpy(state).float().unsqueeze(0))
            action = int(draw.random() > probs[0, 0].item())
            log_probs.append(torch.log(probs.squeeze(0)[action]))
            entropies.append(-(probs * probs.log()).sum())
            state, reward, done = environment.step(action)
            rewards.append(reward)
            if done:
                break
        R, returns = 0, deque()
        for r in rewards[::-1]:
            R = r + 0.99 * R
            returns.appendleft(R)
        returns = torch.tensor(returns)
        if len(returns) > 1:
            returns = (returns - returns.mean()) / (returns.std() + eps)
        policy_loss = [-log_prob * R for log_prob, R in zip(log_probs, returns)]
        optimizer.zero_grad()
        loss = torch.stack(policy_loss).sum() - 0.01 * torch.stack(entropies).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert torch.isfinite(loss)
    return {"losses": losses[:10]}


@programs.add(rtol=5e-3, atol=5e-4)
def actor_critic(torch: Any) -> dict[str, Any]:
    """One body with two heads, generalised advantages by a backward loop, PPO's clipped objective over minibatches."""
    nn, F = torch.nn, torch.nn.functional
    draw = np.random.default_rng(8)

    def layer_init(layer, std=np.sqrt(2), bias_const=0.0):
        torch.nn.init.orthogonal_(layer.weight, std)
        torch.nn.init.constant_(layer.bias, bias_const)
        return layer

    class Agent(nn.Module):
        def __init__(self):
            super().__init__()
            self.critic = nn.Sequential(layer_init(nn.Linear(5, 16)), nn.Tanh(), layer_init(nn.Linear(16, 1), std=1.0))
            self.actor = nn.Sequential(layer_init(nn.Linear(5, 16)), nn.Tanh(), layer_init(nn.Linear(16, 2), std=0.01))

    agent = Agent()
    weight = agent.critic[0].weight
    assert torch.allclose(weight.T @ weight, 2 * torch.eye(5), atol=1e-4)
    same_weights(torch, agent)
    optimizer = torch.optim.Adam(agent.parameters(), lr=5e-3, eps=1e-5)
    environment, num_steps = Corridor(), 64
    obs, actions = torch.zeros((num_steps, 5)), torch.zeros(num_steps, dtype=torch.int64)
    logprobs, rewards, dones, values = (torch.zeros(num_steps) for _ in range(4))
    records = []
    for _update in range(4):
        next_obs, next_done = torch.Tensor(environment.reset()), torch.zeros(1)
        for step in range(num_steps):
            obs[step], dones[step] = next_obs, next_done
            with torch.no_grad():
                logits = agent.actor(next_obs)
                probability = logits.softmax(-1)
                action = int(draw.random() > probability[0])
                values[step] = agent.critic(next_obs).flatten()
                logprobs[step] = torch.log_softmax(logits, -1)[action]
            actions[step] = action
            observation, reward, done = environment.step(action)
            rewards[step] = torch.tensor(reward).view(-1)
            next_obs, next_done = torch.Tensor(environment.reset() if done else observation), torch.Tensor([done])
        with torch.no_grad():
            next_value = agent.critic(next_obs).reshape(1, -1)
            advantages, lastgaelam = torch.zeros_like(rewards), 0
            for t in reversed(range(num_steps)):
                last = t == num_steps - 1
                nextnonterminal = 1.0 - (next_done if last else dones[t + 1])
                delta = rewards[t] + 0.99 * (next_value if last else values[t + 1]) * nextnonterminal - values[t]
                advantages[t] = lastgaelam = (delta + 0.99 * 0.95 * nextnonterminal * lastgaelam).squeeze()
            returns = advantages + values
        b_inds, clipfracs = np.arange(num_steps), []
        for _epoch in range(2):
            draw.shuffle(b_inds)
            for start in range(0, num_steps, 16):
                mb_inds = b_inds[start : start + 16]
                log_p = F.log_softmax(agent.actor(obs[mb_inds]), dim=1)
                newlogprob = log_p.gather(1, actions.long()[mb_inds].unsqueeze(-1)).squeeze(-1)
                entropy = -(log_p.exp() * log_p).sum(1)
                ratio = (newlogprob - logprobs[mb_inds]).exp()
                with torch.no_grad():
                    clipfracs += [((ratio - 1.0).abs() > 0.2).float().mean().item()]
                mb_advantages = advantages[mb_inds]
                mb_advantages = (mb_advantages - mb_advantages.mean()) / (mb_advantages.std() + 1e-8)
                pg_loss = torch.max(-mb_advantages * ratio, -mb_advantages * torch.clamp(ratio, 0.8, 1.2)).mean()
                newvalue = agent.critic(obs[mb_inds]).view(-1)
                v_clipped = values[mb_inds] + torch.clamp(newvalue - values[mb_inds], -0.2, 0.2)
                v_loss = 0.5 * torch.max((newvalue - returns[mb_inds]) ** 2, (v_clipped - returns[mb_inds]) ** 2).mean()
                loss = pg_loss - 0.01 * entropy.mean() + v_loss * 0.5
                optimizer.zero_grad()
                loss.backward()
                norm = nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                optimizer.step()
        records.append([v_loss.item(), pg_loss.item(), norm.item(), float(np.mean(clipfracs))])
        y_pred, y_true = values.cpu().numpy(), returns.cpu().numpy()
        assert np.isfinite(1 - np.var(y_true - y_pred) / np.var(y_true))
    return {"first": records[0], "returns": returns.shape == (num_steps,)}


test_runs, test_agrees_with_torch = programs.tests()
