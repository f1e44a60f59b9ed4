#!/bin/bash
# SmolLM2-135M on a GPU, from nothing: demonstrations on the text twin, a short imitation, then reinforcement learning with a curve.
#   benchmarks/gpu_run.sh [FOLDER]     everything is written there (runs/gpu)
# What may be set: TASK, DEMOS, EPOCHS (of imitation), ALGO, MINUTES, DEVICE, MODEL; ARGS goes to `webgym train`.
set -euo pipefail
OUT=${1:-runs/gpu} TASK=${TASK:-wizard.h6-k8-x2-late6} DEMOS=${DEMOS:-200} EPOCHS=${EPOCHS:-2} ALGO=${ALGO:-grpo} MINUTES=${MINUTES:-5}
DEVICE=${DEVICE:-cuda} MODEL=${MODEL:-smollm2-135m} SESSIONS=${SESSIONS:-256} CHECK=${CHECK:-1} DTYPE=${DTYPE:-bfloat16}
mkdir -p "$OUT"
[ "$CHECK" = 0 ] || python3 -m benchmarks.gpu_check --model "$MODEL" --device "$DEVICE"
[ -d "$OUT/demos" ] || python3 -m cli demos --out "$OUT/demos" --tasks "$TASK" --episodes "$DEMOS" --backend text --sessions 16 \
	--style chat --context conversation
[ -d "$OUT/start" ] || python3 -m cli sft --demos "$OUT/demos" --model "$MODEL" --out "$OUT/start" --device "$DEVICE" \
	--set dtype="$DTYPE" --set lora.rank=16 --set optimizer=adamw --set lr=5e-4 --set epochs="$EPOCHS" --set batch_tokens=8192 \
	--set held_out=0.1 --set measure_every=10
python3 -m cli train --algo "$ALGO" --model "$OUT/start" --tasks "$TASK" --backend text --device "$DEVICE" --out "$OUT" --name "$ALGO" \
	--set dtype="$DTYPE" --set sessions="$SESSIONS" --set sampler.slots="$SESSIONS" --set groups=32 --set group_size=8 --set max_tokens=16 \
	--set epochs=1 --set minibatches=4 --set token_budget=24576 --set optim.lr=2e-4 --set optim.warmup_steps=8 --set optim.final=0.2 \
	--set critic.fit.lr=1e-4 --set minutes="$MINUTES" --set iterations=60 --set checkpoint_every=20 --set keep_checkpoints=1 \
	--set eval_seeds=400 ${ARGS:-}
