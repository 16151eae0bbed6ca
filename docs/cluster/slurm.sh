#!/bin/bash
# A run on two machines with eight GPUs each, under Slurm; from the root of the repository:
#
#     sbatch docs/cluster/slurm.sh --config configs/swin_cifar10.py --batch_size 1024 --workdir /shared/runs/swin_cifar10
#
#SBATCH --job-name=vit_jax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append

# One process for each GPU: JAX takes the one with the number of the task on its machine. Five minutes before the time is
# over, or when the job is preempted, all of them get SIGTERM, save, and end with status 75: then the job goes back into
# the queue, and goes on from there. When one of them is killed, the others end by themselves, after half a minute.
# srun does not take --cpus-per-task from the job, and would give each process one CPU.
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"
srun --kill-on-bad-exit=0 python train.py --parallel.distributed True "$@"
status=$?
if [ "$status" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
