# All tasks behind OpenEnv's protocol: docker build -f docker/openenv.Dockerfile -t webgym-openenv .
# docker run --init --shm-size 1g -p 127.0.0.1:8000:8000 webgym-openenv       the port is published on loopback only, so it needs no token
# docker run ... webgym-openenv make serve ARGS='--protocol openenv --host 0.0.0.0 --port 8000 --token SECRET'    where others reach it
# Name it by the digest that your registry shows, to build the same image again: --build-arg BASE=python@sha256:...
ARG BASE=python:3.12-slim-bookworm
FROM $BASE
RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium chromium-sandbox fonts-liberation git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home webgym
USER webgym
WORKDIR /home/webgym/app
COPY --chown=webgym . .
ARG TORCH_ARGS="--index-url https://download.pytorch.org/whl/cpu"
RUN make venv LOCK=docker/requirements.txt TORCH_ARGS="$TORCH_ARGS"
RUN make browser
EXPOSE 8000
CMD ["make", "serve", "ARGS=--protocol openenv --host 0.0.0.0 --port 8000 --no-token"]
