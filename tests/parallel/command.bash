#!/usr/bin/env bash
#
# mpirun -n N mgdl fit: one model, the same for every N; what is refused; what is left after a kill.
#
#   command.bash <mgdl> <mpirun> <flag of the number of processes>

set -euo pipefail
mgdl=$1 mpirun=$2 number=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
  echo "command.bash: $*" >&2
  exit 1
}

# 40,000 rows, three blocks.
awk 'BEGIN {
  srand(1); print "a,b,y"
  for (i = 0; i < 40000; ++i) { a = rand(); b = rand(); printf "%.9g,%.9g,%.9g\n", a, b, sin(6 * a) * b }
}' > table.csv
"$mgdl" convert --csv table.csv --target-columns y --inputs-output x.npy --targets-output y.npy > /dev/null
samples=(--input x.npy --target y.npy)
fit=(fit "${samples[@]}" --trainer sampled,gradient --width 16 --hidden-layers 1 --epochs 3 --optimizer adam
  --validation 0.1 --grades 3 --threads 1 --memory 1G)

"$mgdl" "${fit[@]}" --quiet --output alone.mgdl
for count in 1 2 3; do
  "$mpirun" "$number" $count "$mgdl" "${fit[@]}" --output ranks.mgdl --report report.json > out.txt 2> errors.txt
  cmp alone.mgdl ranks.mgdl || fail "$count ranks: another model"
  [ "$(grep -c "train RSE" out.txt)" = 1 ] || fail "$count ranks: not one table"
  [ "$(grep -c "train RSE" errors.txt)" = 3 ] || fail "$count ranks: not a line for each grade"
done
"$mgdl" verify --model ranks.mgdl "${samples[@]}" > /dev/null

# refused <part of the message> <command>...: fails, says so once, and soon.
refused() {
  local message=$1 code=0
  shift
  timeout 30 "$@" > out.txt 2> errors.txt || code=$?
  [ $code -ne 0 ] && [ $code -ne 124 ] || fail "$*: not refused ($code)"
  [ "$(grep -c -- "$message" errors.txt)" = 1 ] || fail "$*: not once: $(cat errors.txt)"
}
refused "a single process" "$mpirun" "$number" 2 "$mgdl" predict --model alone.mgdl --input x.npy --output p.npy
refused "samples in .npy files" "$mpirun" "$number" 2 "$mgdl" fit --csv table.csv --target-columns y --output n.mgdl
refused "--widht" "$mpirun" "$number" 2 "$mgdl" fit --widht 3
# A row of the second rank: said by row, whoever says it.
cp x.npy bad.npy
printf '\0\0\0\0\0\0\370\177' | dd of=bad.npy bs=8 seek=$((16 + 2 * 39000)) conv=notrunc status=none
refused "row 3[0-9]*, column 0" "$mpirun" "$number" 2 "$mgdl" fit --input bad.npy --target y.npy --validation 0 \
  --trainer sampled --output n.mgdl
# A launcher of another MPI than the one that mgdl was built with.
refused "as the launcher has started" env OMPI_COMM_WORLD_SIZE=4 "$mgdl" "${fit[@]}" --output n.mgdl
[ ! -e n.mgdl ] || fail "a file of a refused fit"

# A rank is killed after the first grade: the others end within seconds, and the checkpoint is whole.
"$mpirun" "$number" 2 "$mgdl" fit "${samples[@]}" --trainer sampled,gradient --width 16 --hidden-layers 1 \
  --epochs 3000 --optimizer adam --validation 0.1 --grades 3 --threads 1 --checkpoint part.mgdl --output n.mgdl \
  > out.txt 2> errors.txt &
launcher=$!
for ((i = 0; i < 300; ++i)); do
  if [ -e part.mgdl ]; then break; fi
  sleep 0.1
done
sleep 0.3
kill -9 "$(pgrep -P $launcher | tail -1)"
code=0
timeout 20 tail --pid=$launcher -f /dev/null || fail "ranks that live on"
wait $launcher || code=$?
[ $code -ne 0 ] || fail "a killed rank, and no error"
"$mgdl" inspect --model part.mgdl > /dev/null || fail "a broken checkpoint"
[ ! -e n.mgdl ] || fail "a model of a fit that was killed"
echo "all as it should be"
