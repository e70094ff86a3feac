#!/bin/sh
# The study of RESULTS.md, all of it or what of it is not in the store yet:
#   packaging/study.sh SOURCE [STORE [DATA]]
# SOURCE is CIFAR-10 in any form that `raysweep data write` takes. The images are the first 500 of each class to train on
# and the first 200 to test on, so another order of the same files gives other numbers; the digest in RESULTS.md says
# which these were. One budget for everything, none of it tuned: a quarter of the width, 4 epochs of batches of 32.
set -eu
SOURCE=${1:?name a source of CIFAR-10, e.g. torchvision:CIFAR10 or cifar10.parquet}
STORE=${2:-results}
DATA=${3:-data/cifar10-500-200}
RAYSWEEP=${RAYSWEEP:-.venv/bin/raysweep}

run() {
    "$RAYSWEEP" run "$@" --protocol cifar10 --width 0.25 --epochs 4 --batch-size 32 --data "$DATA" --store "$STORE"
}

# What is trained most is left out of the widest studies: their variants of more than four times the work.
"$RAYSWEEP" data write "$SOURCE" "$DATA" --per-class 500 200 --side 32 --also 8,16,18,24,40,46,57
run bias --variants bias_lr_x2 --seeds 5 # the baseline of nearly all studies
for study in activation bias label_noise lr_policy batchnorm pooling classifier padding pooling_window dataset_size \
    colorspace batch_size take_home combined; do
    run $study --seeds 3
done
run width --seeds 3 --variants x0_25,x0_354,x0_5_clean,x0_5,x0_707_clean,x0_707,x1_414
run image_size --seeds 3 --variants s64,s96,s180,s224_clean
run bn_activation --seeds 3 --variants linear_clean,tanh_clean,sigmoid_clean,vlrelu,rrelu,prelu,elu,maxout_clean
