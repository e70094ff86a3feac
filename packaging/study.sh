#!/bin/sh
# Train the study of RESULTS.md; trials that the store already has are skipped.
#   packaging/study.sh SOURCE [STORE [DATA]]      then: raysweep compare docs/study/store STORE
# SOURCE is CIFAR-10 in any form that `raysweep data write` accepts. The images are the first 500 of each class for training
# and the first 200 for testing, so a different order of the files gives different numbers; compare the digest in
# RESULTS.md. All trials have the same untuned budget: a quarter of the width, 4 epochs, batches of 32.
set -eu
SOURCE=${1:?pass a source of CIFAR-10, e.g. torchvision:CIFAR10 or cifar10.parquet}
STORE=${2:-results}
DATA=${3:-data/cifar10-500-200}
RAYSWEEP=${RAYSWEEP:-.venv/bin/raysweep}
SEEDS=3

run() {
    "$RAYSWEEP" run "$@" --protocol cifar10 --width 0.25 --epochs 4 --batch-size 32 --data "$DATA" --store "$STORE"
}

# A study without some of its variants: those with several times the cost of the baseline and, for `init`, those with a
# non-linearity other than ReLU.
some() {
    study=$1
    shift
    run "$study" --seeds "$SEEDS" --variants "$@"
}

"$RAYSWEEP" data write "$SOURCE" "$DATA" --per-class 500 200 --side 32 --also 16,18,24,40,46,57
for study in activation bias label_noise lr_policy batchnorm pooling classifier dataset_size colorspace padding \
    pooling_window take_home; do
    run $study --seeds "$SEEDS"
done
some batch_size bs1024_lr0_04,bs1024_lr0_01,bs512_lr0_02,bs512_lr0_01,bs128_lr0_01,bs128_lr0_005,bs64_lr0_01,bs64_lr0_0025,bs32_lr0_01,bs32_lr0_00125
some width x0_25,x0_354,x0_5_clean,x0_5,x0_707_clean,x0_707,x1_414
some init orthonorm_relu,orthonorm_msra_scaled_relu,xavier_relu,msra_relu,gaussian_relu
some image_size s64,s96,s180
some architecture caffenet128_fc4096,caffenet128_nogroup,caffenet128_spp3,squeezenet128,nin128,fitnet1_elu,vgg16_128
some bn_activation tanh_clean,sigmoid_clean,vlrelu,prelu,elu
some combined only_elu,only_colorspace,only_max_plus_average,only_spp3,only_linear,only_nesterov,add2_colorspace,add3_max_plus_average,add4_spp3,add5_linear,caffenet128_all
