"""A Stable-Baselines3 policy whose critic sees more than its actor: centralised training, decentralised execution."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from torch import nn


class SplitExtractor(MlpExtractor):
    """Hidden layers of an actor that reads the first `seen` elements of a row, and of a critic that reads all."""

    def __init__(self, features: int, seen: int, hidden: list[int], activation: type[nn.Module]) -> None:
        super().__init__(features, {"pi": [], "vf": hidden}, activation)
        actor = MlpExtractor(seen, {"pi": hidden, "vf": []}, activation)
        self.seen = seen
        self.policy_net, self.latent_dim_pi = actor.policy_net, actor.latent_dim_pi

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        return self.policy_net(features[:, : self.seen])


class CentralCriticPolicy(ActorCriticPolicy):
    """MAPPO (Yu et al. 2022, The surprising effectiveness of PPO in cooperative multi-agent games).

    A row is what the twin shows, `seen` elements, and then the true state of the network (`BatchVecEnv`, `state`). The
    actor reads the first part alone: it acts on what its twin shows, also where a row is nothing else.
    """

    def __init__(self, *args: Any, seen: int, hidden: list[int], **options: Any) -> None:
        self.seen, self.hidden = seen, hidden
        super().__init__(*args, **options)

    def _build_mlp_extractor(self) -> None:
        extractor = SplitExtractor(self.features_dim, self.seen, self.hidden, self.activation_fn)
        self.mlp_extractor = extractor.to(self.device)
