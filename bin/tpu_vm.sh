#!/usr/bin/env bash
# A folder of photos on all hosts of a Cloud TPU slice: the same command on every worker.
#
#   TPU=my-tpu ZONE=us-central2-b INPUT=/mnt/bucket/photos OUTPUT=/mnt/bucket/out bin/tpu_vm.sh
#
# Edit: nothing here; the environment says it all. Before the first run, install dem_jax and mount a
# folder that all workers see (Cloud Storage FUSE or Filestore):
#   gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all --command="pip install 'dem_jax[tpu]'"
# FLAGFILE is the setting, MORE further flags. On a preempted slice, run the same command again.
set -euo pipefail

: "${TPU:?set TPU to the name of the slice}" "${ZONE:?set ZONE to its zone}"
: "${INPUT:?set INPUT to the folder of photos}" "${OUTPUT:?set OUTPUT to the folder of results}"

command="python3 -m dem_jax.main --flagfile=$(printf %q "${FLAGFILE:-best}")"
command+=" --input=$(printf %q "$INPUT") --output_dir=$(printf %q "$OUTPUT")"
command+=" --distributed=auto ${MORE:-}"

exec gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all --command="$command"
