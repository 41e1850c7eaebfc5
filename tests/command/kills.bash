#!/usr/bin/env bash
#
# Kills `mgdl fit --checkpoint` at random moments and resumes it until it ends: the model has the bytes of a fit
# that nobody has killed.
#
#   kills.bash <mgdl> <kills> [<launcher> <argument>...]
#
# Of a launcher's processes a random one is killed.

set -euo pipefail
mgdl=$1 kills=$2
shift 2
launcher=("$@")
if [ -n "${MGDL_TEST_THOROUGH:-}" ]; then kills=50; fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
RANDOM=7

awk 'BEGIN {
  srand(2); print "a,b,y"
  for (i = 0; i < 60000; ++i) { a = rand(); b = rand(); printf "%.9g,%.9g,%.9g\n", a, b, sin(9 * a) * b }
}' > table.csv
"$mgdl" convert --csv table.csv --target-columns y --inputs-output x.npy --targets-output y.npy > /dev/null
fit=("$mgdl" fit --input x.npy --target y.npy --memory 1M --trainer sampled,gradient --width 32 --hidden-layers 1
  --epochs 4 --optimizer adam --validation 0.1 --grades 5 --threads 1 --seed 4 --quiet --tolerance 0)

begin=$(date +%s%N)
"${fit[@]}" --output whole.mgdl
took=$((($(date +%s%N) - begin) / 1000000))

killed=0 runs=0 resumed=0
while [ $killed -lt "$kills" ]; do
  rm -f part.mgdl model.mgdl
  while true; do
    resume=()
    if [ -e part.mgdl ]; then
      resume=(--resume part.mgdl)
      resumed=$((resumed + 1))
    fi
    ${launcher[@]+"${launcher[@]}"} "${fit[@]}" "${resume[@]}" --checkpoint part.mgdl --output model.mgdl \
      2> errors.txt &
    process=$!
    if [ $killed -lt "$kills" ]; then
      wait_ms=$((RANDOM * took / 32768))
      sleep "$((wait_ms / 1000)).$(printf %03d $((wait_ms % 1000)))"
      victim=$process
      if [ ${#launcher[@]} -gt 0 ]; then
        victim=$(pgrep -P $process | shuf -n 1 --random-source=<(yes $RANDOM) || true)
      fi
      if [ -n "$victim" ] && kill -9 "$victim" 2> /dev/null; then killed=$((killed + 1)); fi
    fi
    code=0
    wait $process 2> /dev/null || code=$?
    runs=$((runs + 1))
    if [ -e part.mgdl ]; then "$mgdl" inspect --model part.mgdl > /dev/null; fi
    if [ $code -eq 0 ]; then break; fi
    if [ $killed -eq "$kills" ] && [ $code -ne 137 ] && [ ${#launcher[@]} -eq 0 ]; then
      cat errors.txt >&2
      exit 1
    fi
    [ $runs -lt $((20 * kills)) ] || { cat errors.txt >&2; exit 1; }
  done
  cmp whole.mgdl model.mgdl
done
echo "$killed kills in $runs runs, $resumed of them resumed: the same bytes"
