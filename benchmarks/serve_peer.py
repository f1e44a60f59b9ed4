"""OpenEnv's BrowserGym environment as a server for `benchmarks/serve.py`; runs in a Python that has openenv and BrowserGym.

    PYTHON benchmarks/serve_peer.py ENVS TASK SESSIONS SLEEPS

ENVS is the folder `envs` of a checkout of OpenEnv. With SLEEPS 0, BrowserGym's `slow_mo` and `pre_observation_delay` are 0. The address is
written to standard output, as `webgym serve` does.
"""

import socket
import sys
from functools import partial


def main() -> None:
    """Serve until the process is ended."""
    folder, task, sessions, sleeps = sys.argv[1:]
    sys.path.insert(0, folder)
    import uvicorn
    from browsergym_env.models import BrowserGymAction, BrowserGymObservation  # pyright: ignore[reportMissingImports]
    from browsergym_env.server.browsergym_environment import BrowserGymEnvironment  # pyright: ignore[reportMissingImports]
    from openenv.core.env_server.http_server import create_app  # pyright: ignore[reportMissingImports]

    tuned = {} if sleeps == "1" else {"slow_mo": 0, "pre_observation_delay": 0}
    factory = partial(BrowserGymEnvironment, benchmark="miniwob", task_name=task, **tuned)
    app = create_app(factory, BrowserGymAction, BrowserGymObservation, env_name="browsergym_env", max_concurrent_envs=int(sessions))
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
