#!/usr/bin/env bash
# A folder of photos as a Slurm job array: tasks that know nothing of each other.
#
#   sbatch --export=ALL,INPUT=/data/photos,OUTPUT=/data/out bin/slurm_array.sh
#
# Edit: the lines below for your cluster (partition, time, memory, a GPU), and --array: one number
# per task, from 0. INPUT and OUTPUT must be seen by all nodes. PYTHON is the interpreter of the
# environment in which dem_jax is installed, FLAGFILE the setting, MORE further flags.
# A task that runs out of time or is preempted saves its photo (exit status 75) and is queued again.
#SBATCH --job-name=dem_jax
#SBATCH --array=0-7
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
##SBATCH --partition=gpu
##SBATCH --gres=gpu:1
set -uo pipefail

: "${INPUT:?set INPUT to the folder of photos}" "${OUTPUT:?set OUTPUT to the folder of results}"
read -ra more <<<"${MORE:-}"

# srun, because Slurm sends the signal to job steps, not to this shell.
srun "${PYTHON:-python3}" -m dem_jax.main \
  --flagfile="${FLAGFILE:-best}" --input="$INPUT" --output_dir="$OUTPUT" \
  --process="$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN))/$SLURM_ARRAY_TASK_COUNT" \
  ${more[@]+"${more[@]}"}
status=$?

if [ "$status" -eq 75 ]; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$status"
