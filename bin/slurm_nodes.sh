#!/usr/bin/env bash
# A folder of photos on several nodes as one Slurm job: one process per task, joined by JAX.
#
#   sbatch --export=ALL,INPUT=/data/photos,OUTPUT=/data/out bin/slurm_nodes.sh
#
# Edit: the lines below for your cluster: nodes, tasks and GPUs per node (JAX gives each task of a
# node one of its GPUs). INPUT and OUTPUT must be seen by all nodes. PYTHON is the interpreter of the
# environment in which dem_jax is installed, FLAGFILE the setting, MORE further flags.
# When a node dies, JAX stops the other tasks too; finished photos are kept, and the job is queued
# again for the rest. Where nodes come and go often, bin/slurm_array.sh loses less.
#SBATCH --job-name=dem_jax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=4
#SBATCH --mem=64G
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
##SBATCH --partition=gpu
##SBATCH --gpus-per-task=1
set -uo pipefail

: "${INPUT:?set INPUT to the folder of photos}" "${OUTPUT:?set OUTPUT to the folder of results}"
read -ra more <<<"${MORE:-}"

srun --kill-on-bad-exit=0 "${PYTHON:-python3}" -m dem_jax.main \
  --flagfile="${FLAGFILE:-best}" --input="$INPUT" --output_dir="$OUTPUT" \
  --distributed=auto \
  ${more[@]+"${more[@]}"}
status=$?

if [ "$status" -eq 75 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
