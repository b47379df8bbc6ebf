# sandbox.sh JOB FOUNDED CREDENTIALS REPOSITORY PYTHON, in a mount namespace of its own: run one job in a tree that holds
# of the working folder only what the job's unit binds, as systemd would mount it.
set -eu
job=$1 founded=$2 credentials=$3 repository=$4 python=$5
working=/var/lib/enclave
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir /mnt/founded
mount --bind "$founded" /mnt/founded
mount -t tmpfs -o mode=0755 tmpfs /var/lib
mkdir "$working"
mount -t tmpfs -o mode=0755 tmpfs "$working"
mount -t tmpfs -o mode=1777,nosuid,nodev,noexec tmpfs /dev/shm
sed -nE 's/^(Bind|BindReadOnly)Paths=(.*)$/\1 \2/p' "$repository/systemd/enclave-job@$job.service" | while read -r how path; do
    may_be_missing=
    case $path in -*) may_be_missing=1 path=${path#-} ;; esac
    source=/mnt/founded${path#"$working"}
    if [ "$may_be_missing" ] && [ ! -e "$source" ]; then continue; fi
    mkdir -p "$(dirname "$path")"
    if [ -d "$source" ]; then mkdir "$path"; else : > "$path"; fi
    mount --bind "$source" "$path"
    if [ "$how" = BindReadOnly ]; then mount -o remount,bind,ro "$path"; fi
done
mount -o remount,ro "$working"
umount /mnt/founded
cd /
CREDENTIALS_DIRECTORY=$credentials PYTHONPATH=$repository \
    exec "$python" -B -m jobs run "$job" --registry kar --config "$working/enclave.toml"
