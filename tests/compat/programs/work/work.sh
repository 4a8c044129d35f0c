# Everyday tools in pipes: each a process that starts, allocates and ends.
set -e
seq 1 200000 | sort -R --random-source=/dev/zero | sort -n | tail -3
seq 1 100000 | awk '{ count[$1 % 1013] += $1 } END { for (k in count) print k, count[k] }' | sort -n | cksum
seq 1 50000 | sed -e 's/7/seven/g' -e 's/\(.\)\1/<\1>/g' | grep -c '<'
seq 1 100000 | gzip -9 | gunzip | md5sum
seq 1 30000 | tr '0-9' 'a-j' | sort -u | head -5
find /usr/share/common-licenses -type f | sort | xargs cat | wc -l > /dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do expr $i \* $i; done
tar cf - -C /usr/share/common-licenses --sort=name --mtime=@0 . | xz -0 | xz -d | tar tf - | sort | cksum
