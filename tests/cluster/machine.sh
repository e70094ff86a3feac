#!/bin/sh
# A machine of the loopback network: processes, home, Ray's folder and shared memory of its own. FOLDER ADDRESS
set -eu
folder=$1
address=$2
mkdir -p /tmp/ray /run/sshd
mount --make-rprivate /
mount --bind "$folder/passwd" /etc/passwd
mount --bind "$folder/ray" /tmp/ray
mount -t tmpfs none /dev/shm
exec /usr/sbin/sshd -D -E "$folder/sshd.log" -f "$folder/sshd_config" -o "ListenAddress=$address:22"
