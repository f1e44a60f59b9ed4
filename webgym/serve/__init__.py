"""Serving: our tasks for agents and trainers elsewhere, over their protocols.

========================  ==========================================================================================================
`sessions`, `server`      one process, one browser, a session for each client; :class:`webgym.serve.server.Server`
`http`                    WebGym's own protocol, JSON over HTTP
`openenv`                 OpenEnv's protocol; `openenv_client` is its typed client
`client`                  episodes here or on a server, by one face; what the adapters below stand on
`trl`                     TRL: `environment_factory`; its `rollout_func` is :mod:`trainers.rollouts.trl_rollouts`, beside the models
`verifiers`               verifiers: a taskset
`nemo_gym`                NeMo Gym: a Gymnasium server
`agentlab`                BrowserGym's experiment loop: our tasks under its ids; `agentlab_study` makes benchmarks for AgentLab's studies
========================  ==========================================================================================================

A fault travels as each protocol needs it (an exception, None, HTTP 503), and never as a reward.
"""
