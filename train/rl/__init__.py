"""PPO, GRPO and best of n: rollouts, their rewards, and what is learned from them."""
