#!/usr/bin/env bash
# A cluster under Slurm on this one machine, with accounts: up.sh FOLDER CORES PORT
#
# Everything is kept in FOLDER, and what listens does so on the loopback interface: slurmctld, slurmd, slurmdbd and
# mariadbd at PORT, PORT+1, PORT+2 and PORT+3. Nothing of a Slurm that is already here is read, written or reached.
# Only root may start these daemons. To use it: export SLURM_CONF=FOLDER/slurm.conf. To end it: down.sh FOLDER.
set -euo pipefail

folder=$(readlink -m "$1") cores=$2 port=$3
node=$(hostname -s) me=$(id -un)
export SLURM_CONF="$folder/slurm.conf"

mkdir -p "$folder"/{log,state,spool,munge,accounts}
chmod 755 "$folder"
chmod 700 "$folder/munge"

until_done() { # try $@ for up to 30 seconds
    for _ in $(seq 1 150); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.2
    done
    echo "no answer in 30 seconds: $*" >&2
    return 1
}

# munge signs what the daemons tell each other.
(umask 077 && head -c 1024 /dev/urandom >"$folder/munge/key")
munged --force --num-threads=2 --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/log/munged" --seed-file="$folder/munge/seed"

# The accounts: without them nobody could tell how a job ended that the controller has forgotten.
mariadb-install-db --no-defaults --user="$me" --datadir="$folder/accounts" --skip-test-db \
    --auth-root-authentication-method=normal >"$folder/log/mariadb-install" 2>&1
mariadbd --no-defaults --user="$me" --datadir="$folder/accounts" --socket="$folder/mariadb" \
    --bind-address=127.0.0.1 --port=$((port + 3)) --pid-file="$folder/mariadbd.pid" \
    --innodb-buffer-pool-size=64M --innodb-log-file-size=16M --innodb-lock-wait-timeout=900 \
    --innodb-flush-log-at-trx-commit=0 --performance-schema=off \
    --log-error="$folder/log/mariadbd" </dev/null >/dev/null 2>&1 &
sql() { mariadb --no-defaults --socket="$folder/mariadb" --execute="$1"; }
until_done sql 'select 1'
sql "create database accounts;
     create user 'slurm'@'127.0.0.1' identified by 'slurm'; grant all on accounts.* to 'slurm'@'127.0.0.1';
     create user 'slurm'@'localhost' identified by 'slurm'; grant all on accounts.* to 'slurm'@'localhost';"

cat >"$folder/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
DbdHost=$node
DbdAddr=127.0.0.1
DbdPort=$((port + 2))
SlurmUser=$me
LogFile=$folder/log/slurmdbd
PidFile=$folder/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((port + 3))
StorageLoc=accounts
StorageUser=slurm
StoragePass=slurm
CONF
chmod 600 "$folder/slurmdbd.conf"

# cred_expire: a job that is queued again would otherwise be held for two minutes.
cat >"$SLURM_CONF" <<CONF
ClusterName=tests
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=cred_expire=5,socket=$folder/munge/socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1,sched_min_interval=0
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((port + 2))
AccountingStoragePass=$folder/munge/socket
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobRequeue=1
ReturnToService=2
KillWait=10
NodeName=$node NodeAddr=127.0.0.1 CPUs=$cores RealMemory=2000 State=UNKNOWN
PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
printf '%s\n' CgroupAutomount=no ConstrainCores=no ConstrainRAMSpace=no ConstrainDevices=no >"$folder/cgroup.conf"

slurmdbd
until_done sacctmgr --noheader list cluster
sacctmgr --immediate --quiet add cluster tests >/dev/null 2>&1 || true # it may have announced itself
slurmctld
slurmd -N "$node"
is_idle() { [ "$(sinfo --noheader --format=%T)" = idle ]; }
until_done is_idle
