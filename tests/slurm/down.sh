#!/usr/bin/env bash
# Ends the cluster that up.sh has started: down.sh FOLDER
set -uo pipefail

folder=$(readlink -m "$1")
export SLURM_CONF="$folder/slurm.conf"

if [ -s "$folder/slurmctld.pid" ]; then # the jobs first, or their processes would stay
    timeout 10 scancel --user="$(id -un)" 2>/dev/null
    for _ in $(seq 1 100); do
        [ -z "$(timeout 10 squeue --noheader 2>/dev/null)" ] && break
        sleep 0.2
    done
fi

daemons=()
for daemon in slurmd slurmctld slurmdbd munged mariadbd; do
    [ -s "$folder/$daemon.pid" ] && daemons+=("$(cat "$folder/$daemon.pid")")
done
[ ${#daemons[@]} -eq 0 ] && exit 0

kill "${daemons[@]}" 2>/dev/null
for pid in "${daemons[@]}"; do
    for _ in $(seq 1 100); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null
done
exit 0
