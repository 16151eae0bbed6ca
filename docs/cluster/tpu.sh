#!/bin/bash
# A run on all machines of a TPU pod that is there already and has this repository, with its requirements, in ~/vit_jax:
#
#     TPU=my-pod ZONE=us-central2-b docs/cluster/tpu.sh --config configs/swin_cifar10.py --workdir /shared/runs/swin_cifar10
#
# /shared stands for a file system that all machines can write to. The same command again goes on after a stop.
set -euo pipefail
gcloud compute tpus tpu-vm ssh "${TPU:?the name of the pod}" --zone "${ZONE:?its zone}" --worker=all \
    --command "cd ~/vit_jax && python train.py --parallel.distributed True ${*@Q}"
