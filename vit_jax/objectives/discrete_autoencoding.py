"""Discrete autoencoding (DALL-E: Ramesh et al., 2021, section 2.1): visual tokens from which the image can be made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import jax
import jax.numpy as jnp
import optax

from vit_jax import durations
from vit_jax.models.discrete_vae import DiscreteReconstruction, DiscreteVae
from vit_jax.models.network import Network
from vit_jax.models.network_input import network_input
from vit_jax.objectives.objective import Examples, Given, Loss, Objective, Params

USAGE_MOMENTUM = 0.99
"""Decay of the running mean of how probable each token is."""


def divergence_from_uniform(logits: jax.Array) -> jax.Array:
    """The mean KL divergence, in nats, of distributions given by logits [..., K] from the one that has all alike."""
    log_probabilities = jax.nn.log_softmax(logits)
    return (jnp.exp(log_probabilities) * log_probabilities).sum(-1).mean() + jnp.log(logits.shape[-1])


def tokens_used(usage: jax.Array) -> jax.Array:
    """How many tokens are in use: the exponential of the entropy of their probabilities [K]."""
    return jnp.exp(jax.scipy.special.entr(usage).sum())


@dataclass(frozen=True)
class DiscreteAutoencoding(Objective):
    """Minimises the error of a discrete autoencoder's images + weight * divergence of its tokens from all being alike.

    The error is the mean square over all values, as in the discrete autoencoder of BEiT's code (DALL-E has a
    likelihood of its own). The tokens of training are relaxed by a temperature that falls along a cosine (DALL-E,
    appendix A.2).

    Attributes:
        divergence_weight: of the divergence, in nats for a token: it keeps many tokens in use.
        temperature: at the beginning.
        final_temperature: from the end of `annealing` on.
        annealing: duration in which the temperature falls.
    """

    learns_classes = False

    divergence_weight: float = 0.0
    temperature: float = 1.0
    final_temperature: float = 0.0625
    annealing: str = "10 epochs"

    def __post_init__(self):
        durations.parse(self.annealing, "objective.annealing")
        if min(self.temperature, self.final_temperature) <= 0 or self.divergence_weight < 0:
            raise ValueError(
                "objective.temperature and final_temperature must be positive and divergence_weight not negative; got "
                f"{self.temperature}, {self.final_temperature} and {self.divergence_weight}"
            )

    def check(self, model: Network) -> None:
        """Raises ValueError if a network is no discrete autoencoder."""
        if not isinstance(model, DiscreteVae):
            raise ValueError(
                f'discrete autoencoding needs a DiscreteVae ("discrete_vae_..."), not a {type(model).__name__}'
            )

    def schedules(self, steps: int, in_steps: Callable[[str], int]) -> dict[str, optax.Schedule]:
        """The temperature.

        Raises:
            ValueError: if the run ends before the annealing does.
        """
        annealing = in_steps(self.annealing)
        durations.check_within_run("objective.annealing", self.annealing, annealing, steps)
        if not annealing:
            return {"temperature": optax.constant_schedule(self.final_temperature)}
        final = self.final_temperature / self.temperature
        return {"temperature": optax.cosine_decay_schedule(self.temperature, annealing, alpha=final)}

    def loss(self, model: Network, params: Params, examples: Examples, given: Given) -> Loss:
        """The loss; "squared_error" and "divergence" are its parts.

        "tokens_used" is how many tokens were in use before this batch, in a running mean; near 1 the autoencoder has
        collapsed to one.
        """
        assert isinstance(model, DiscreteVae)
        images, shape = network_input(model, examples.pixels), (model.grid[0] * model.grid[1], model.vocab_size)
        noise = jax.vmap(lambda key: jax.random.gumbel(key, shape))(examples.keys)
        made = model.apply({"params": params}, images, True, noise, given.scheduled["temperature"])
        prediction, logits = cast(DiscreteReconstruction, made)
        error, divergence = jnp.square(prediction - images).mean(), divergence_from_uniform(logits)

        usage = jax.lax.stop_gradient(params["usage"])
        moved = USAGE_MOMENTUM * usage + (1 - USAGE_MOMENTUM) * jax.nn.softmax(logits).mean((0, 1))
        metrics = {"squared_error": error, "divergence": divergence, "tokens_used": tokens_used(usage)}
        return Loss(error + self.divergence_weight * divergence, metrics, {"usage": jax.lax.stop_gradient(moved)})
