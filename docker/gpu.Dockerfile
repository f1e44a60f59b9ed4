# A trainer on a GPU, with its browser: docker build -f docker/gpu.Dockerfile -t webgym-gpu .
# torch's own wheels bring CUDA's libraries; the machine brings the driver (docker run --gpus all).
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
RUN make venv LOCK=docker/requirements.txt
RUN make gpu
RUN make browser
VOLUME ["/home/webgym/app/runs"]
CMD ["make", "train", "ARGS=--device cuda"]
