#!/usr/bin/env bash
# BeautifulPrompt (EMNLP 2023, arXiv 2311.06752) from pictures to a measured rewriter: each stage reads
# the file that the one before wrote. From the repository's root:
#
#   train/paper.sh PICTURES LLM_URL LLM_MODEL [OUT]
#
# PICTURES is a folder of generated pictures that carry their prompts; LLM_URL an OpenAI-compatible
# server, as http://127.0.0.1:11434/v1. Everything goes to OUT (runs/paper_all). Given again, the
# script leaves out what is finished, and goes on with what was stopped.
#
# In the environment: GPUS (1), and other models than the paper's: CAPTION, BASE, CHECKPOINT, PICK,
# AESTHETIC, AESTHETIC_CLIP; LOW, a file of short prompts to upgrade in place of the captions.
#
# `QUICK=1` runs all stages with a few steps, on tiny random models, which it makes in OUT/models,
# and, without PICTURES, on pictures made for it: to see that they work. Two CPU cores will do.
set -euo pipefail
pictures=${1:-} url=${2:-} name=${3:-} out=${4:-runs/paper_all}

sft=() label=() reward=() ppo=() measured=() cleaned=()
if [[ ${QUICK:-} ]]; then
    [[ -d $out/models/bloom ]] || python -m tests.train.tiny_vision "$out/models"
    [[ $pictures ]] || { pictures=$out/pictures && python -m tests.train.pictures_made "$pictures"; }
    CAPTION=$out/models/blip BASE=$out/models/bloom CHECKPOINT=$out/models/diffusion
    PICK=$out/models/pickscore AESTHETIC=$out/models/aesthetic AESTHETIC_CLIP=$out/models/aesthetic
    cpu=(--use_cpu true --bf16 false --weights float32 --max_steps 2 --report_to none)
    sft=("${cpu[@]}" --per_device_train_batch_size 4 --drop_short false)
    reward=("${cpu[@]}" --held_out 0.3 --eval_steps 1 --save_steps 1)
    label=(--steps 2 --size 16 --seeds 2 --device cpu)
    ppo=(--bf16 false --weights float32 --steps 2 --rollouts_per_step 4 --minibatch_size 4
        --max_new_tokens 12 --trained_layers 1 --eval_count 2 --eval_steps 1 --save_steps 1)
    measured=(--limit 3 --n 2 --steps 2 --size 16 --device cpu --scores pick_score aesthetic)
    # Random models' captions speak of something else.
    cleaned=(--min_aesthetic -100 --consistency -1)
fi
if [[ ! -d $pictures || ! $url || ! $name ]]; then
    echo "paper.sh: give PICTURES LLM_URL LLM_MODEL: a folder, a server and a model on it" >&2
    exit 1
fi
caption=${CAPTION:-Salesforce/blip-image-captioning-base} base=${BASE:-bigscience/bloom-1b1}
checkpoint=${CHECKPOINT:-stable-diffusion-v1-5/stable-diffusion-v1-5}
pick=${PICK:-yuvalkirstain/PickScore_v1} clip=${AESTHETIC_CLIP:-openai}
aesthetic=${AESTHETIC:-sac+logos+ava1-l14-linearMSE.pth}
low=${LOW:-$out/captioned/prompts.txt}

launch() {
    if ((${GPUS:-1} > 1)); then accelerate launch --num_processes "$GPUS" "$@"; else python "$@"; fi
}

# Whether a stage's result is still to be made.
missing() {
    if [[ -e $2 ]]; then echo "== $1: $2 is there" && return 1; fi
    echo "== $1: writes $2"
}

# "--resume true" where a stopped run has a checkpoint.
again() {
    if compgen -G "$1/checkpoint-*" >/dev/null; then echo "--resume true"; fi
}

collect=(--answers "$out/answers.sqlite" --report "${cleaned[@]}")
llm=(--llm "$url" --llm-model "$name")
pairs=$out/pairs

if missing "(i) captions" "$out/captioned/train.parquet"; then
    python train/collect.py --images "$pictures" --caption "$caption" --aesthetic "$aesthetic" \
        --aesthetic_clip "$clip" --construct captioned --out "$out/captioned" "${collect[@]}"
fi
if missing "(ii) summaries" "$out/summarised/train.parquet"; then
    python train/collect.py --data "$out"/captioned/{train,validation}.parquet \
        --construct summarised --out "$out/summarised" "${llm[@]}" "${collect[@]}"
fi
if missing "(iii) upgrades" "$out/upgraded/train.parquet"; then
    python train/collect.py --data "$low" --construct upgraded --out "$out/upgraded" \
        "${llm[@]}" "${collect[@]}"
fi
if missing "clean" "$pairs/train.parquet"; then
    python train/collect.py --data "$out"/{captioned,summarised,upgraded}/{train,validation}.parquet \
        --construct typed --test 0.03 --out "$pairs" "${collect[@]}"
fi
if missing "SFT" "$out/sft/model/model.safetensors"; then
    launch train/sft.py --config train/configs/paper_sft.yaml --base "$base" \
        --train_file "$pairs/train.parquet" --validation_file "$pairs/validation.parquet" \
        --output_dir "$out/sft" $(again "$out/sft") "${sft[@]}"
fi
if missing "label" "$out/labels/labels.parquet"; then
    python train/label.py --config train/configs/paper_label.yaml --pairs "$pairs/train.parquet" \
        --out "$out/labels" --checkpoint "$checkpoint" --pick_model "$pick" \
        --aesthetic_head "$aesthetic" --aesthetic_clip "$clip" "${label[@]}"
fi
for kind in ps aes; do
    score=$([[ $kind == ps ]] && echo pick_score || echo aesthetic) to=$out/reward_$kind
    if missing "reward $kind" "$to/model/model.safetensors"; then
        launch train/reward.py --config train/configs/paper_reward.yaml --base "$base" \
            --train_file "$out/labels/labels.parquet" --template $kind --score "$score" \
            --output_dir "$to" $(again "$to") "${reward[@]}"
    fi
done
if missing "PPO" "$out/ppo/model/model.safetensors"; then
    launch train/ppo.py --config train/configs/paper_ppo.yaml --base "$out/sft/model" \
        --prompts "$pairs/train.parquet" --eval_prompts "$pairs/test.parquet" \
        --relevance_reward "$out/reward_ps/model" --aesthetic_reward "$out/reward_aes/model" \
        --output_dir "$out/ppo" $(again "$out/ppo") "${ppo[@]}"
fi
# Rewrites, the pictures that they make, and a page on which people vote between these.
if missing "evaluate" "$out/report/vote.html"; then
    python train/evaluate.py --model "$out/sft/model" "$out/ppo/model" --modes rewrite --sets \
        --prompts "$pairs/test.parquet" --reward "$out/reward_aes/model" \
        --judge train/starter/judge --out "$out/report" --blind --render "$checkpoint" --seeds 1 \
        --scheduler EulerAncestralDiscreteScheduler --steps 20 --guidance 7.5 --size 512 \
        --pick_model "$pick" --aesthetic_head "$aesthetic" --aesthetic_clip "$clip" "${measured[@]}"
fi
echo "wrote $out/report: report.html, pictures.html, vote.html"
