#!/bin/bash
# SmolLM2-135M on a GPU, from nothing: demonstrations on the text twin, a short imitation, then reinforcement learning with a curve.
#   benchmarks/gpu_run.sh [FOLDER]     everything is written there (runs/gpu)
# What may be set: TASK, DEMOS and SLIPS (one turn in so many is random, as people slip), STYLE and CONTEXT of prompts, EPOCHS of imitation,
# ALGO, MINUTES, GROUPS_OF_8, DEVICE, DTYPE, MODEL, SESSIONS, CHECK=0; ARGS goes to `webgym train`.
set -euo pipefail
OUT=${1:-runs/gpu} TASK=${TASK:-wizard.h12-k8-x4-late12} DEMOS=${DEMOS:-200} SLIPS=${SLIPS:-0.2} STYLE=${STYLE:-compact}
CONTEXT=${CONTEXT:-window} EPOCHS=${EPOCHS:-2} ALGO=${ALGO:-grpo} MINUTES=${MINUTES:-5} GROUPS_OF_8=${GROUPS_OF_8:-16}
DEVICE=${DEVICE:-cuda} DTYPE=${DTYPE:-bfloat16} MODEL=${MODEL:-smollm2-135m} SESSIONS=${SESSIONS:-128} CHECK=${CHECK:-1}
mkdir -p "$OUT"
[ "$CHECK" = 0 ] || python3 -m benchmarks.gpu_check --model "$MODEL" --device "$DEVICE"
[ -d "$OUT/demos" ] || python3 -m cli demos --out "$OUT/demos" --tasks "$TASK" --episodes "$DEMOS" --slips "$SLIPS" --backend text \
	--sessions 16 --style "$STYLE" --context "$CONTEXT"
[ -d "$OUT/start" ] || python3 -m cli sft --demos "$OUT/demos" --model "$MODEL" --out "$OUT/start" --device "$DEVICE" \
	--set dtype="$DTYPE" --set lora.rank=16 --set optimizer=adamw --set lr=5e-4 --set epochs="$EPOCHS" --set batch_tokens=6144 \
	--set held_out=0.05 --set measure_every=25
python3 -m cli train --algo "$ALGO" --model "$OUT/start" --tasks "$TASK" --backend text --device "$DEVICE" --out "$OUT" --name "$ALGO" \
	--set machine.dtype="$DTYPE" --set machine.sessions="$SESSIONS" --set sampler.slots="$SESSIONS" --set rollout.groups="$GROUPS_OF_8" --set rollout.group_size=8 \
	--set rollout.max_tokens=16 --set update.epochs=1 --set update.minibatches=4 --set update.token_budget=24576 --set optim.lr=4e-4 --set optim.warmup_steps=4 \
	--set optim.final=0.2 --set critic.fit.lr=1e-4 --set length.minutes="$MINUTES" --set length.iterations=40 --set checkpoints.every=50 \
	--set checkpoints.keep=1 --set evaluation.seeds=256 ${ARGS:-}
