"""Agents: what acts in the environment. One small protocol, rules, learners, and anybody's own policy.

One file per agent, named as the agent is named in configs: `agents/order_up_to.py` is `order_up_to`.
"""
