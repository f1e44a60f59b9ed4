# Browser and trainer on a machine without a GPU: docker build -f docker/cpu.Dockerfile -t webgym .
FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium chromium-sandbox fonts-liberation git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home webgym
USER webgym
WORKDIR /home/webgym/app
COPY --chown=webgym . .
ARG TORCH_ARGS="--index-url https://download.pytorch.org/whl/cpu"
RUN make venv TORCH_ARGS="$TORCH_ARGS"
RUN make browser
VOLUME ["/home/webgym/app/runs"]
CMD ["make", "train"]
