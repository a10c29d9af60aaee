"""The configuration files of the cluster of the tests."""

from collections.abc import Mapping
from pathlib import Path

CPU_NODES = ("c1", "c2")
GPU_NODES = ("g1", "g2")
GPUS = 2  # of each GPU node
MEMORY = 16_000  # MB of a node, for what jobs ask; what they take is far less
ACCOUNT = "study"

INIT_SQL = """
CREATE DATABASE slurm_acct_db;
CREATE USER 'slurm'@'localhost' IDENTIFIED BY 'loopback-only';
CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY 'loopback-only';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'localhost';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';
"""

SLURM_CONF = """
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[ctld]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/run/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/state/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log

# No cgroups and no binding to cores: this runs in a container too.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
JobAcctGatherParams=OverMemoryKill
SwitchType=switch/none
MpiDefault=none
PropagateResourceLimits=NONE
MailProg=/bin/true

# One core a node, and memory for any job, so that four run at once whatever this machine has.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,sched_min_interval=100000

# A site's usual habits (a lost node's jobs are queued again), at a faster pace.
JobRequeue=1
ReturnToService=2
MinJobAge=3600
KillWait=5
CompleteWait=0
SlurmctldTimeout=30
SlurmdTimeout=20
MessageTimeout=10

AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[dbd]}
AccountingStoragePass={folder}/run/munge
AccountingStoreFlags=job_comment
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,limits

{nodes}
PartitionName=all Nodes={cpu},{gpu} Default=YES MaxTime=60 DefaultTime=5 DefMemPerCPU=200 State=UP
PartitionName=gpu Nodes={gpu} Default=NO MaxTime=60 DefaultTime=5 DefMemPerCPU=200 State=UP
"""

SLURMDBD_CONF = """
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports[dbd]}
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[mariadb]}
StorageUser=slurm
StoragePass=loopback-only
StorageLoc=slurm_acct_db
"""


def files(folder: Path, ports: Mapping[str, int], user: str) -> dict[str, str]:
    """Text by name of every file in ``folder``/etc."""
    values = {
        "folder": folder,
        "ports": ports,
        "user": user,
        "cpu": ",".join(CPU_NODES),
        "gpu": ",".join(GPU_NODES),
        "nodes": "\n".join(
            f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[name]} CPUs=1"
            f" RealMemory={MEMORY} State=UNKNOWN"
            + (f" Gres=gpu:fake:{GPUS} Feature=fake" if name in GPU_NODES else "")
            for name in (*CPU_NODES, *GPU_NODES)
        ),
    }
    gpus = f"Name=gpu Type=fake File={folder}/dev/nvidia[0-{GPUS - 1}]"
    return {
        "slurm.conf": SLURM_CONF.format(**values),
        "slurmdbd.conf": SLURMDBD_CONF.format(**values),
        "gres.conf": f"NodeName={','.join(GPU_NODES)} {gpus}\n",
        "cgroup.conf": "CgroupAutomount=no\n",
    }
