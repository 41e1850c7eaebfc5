# What is installed with the command: completion in bash, and manual pages if there are any.
#
#   command.bash <prefix> <folder of manual pages, or nothing>

set -euo pipefail

mgdl=$1/bin/mgdl
source "$1/share/bash-completion/completions/mgdl"

fail() {
  echo "$*" >&2
  exit 1
}

# What bash offers for the last of these words.
offered() {
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  _mgdl mgdl "${*: -1}" "${COMP_WORDS[COMP_CWORD - 1]}" || true
  echo "${COMPREPLY[*]}"
}

# expect <what is offered> <word>...
expect() {
  local expected=$1 found
  shift
  found=$(offered "$@")
  if [ "$found" != "$expected" ]; then fail "$*: '$found' is offered instead of '$expected'"; fi
}

cd "$1/share"
commands="fit convex predict inspect verify export convert"
expect "$commands --help --version --completion" mgdl ''
expect verify mgdl ve
expect '--test-input --test-target --test-csv' mgdl fit --test
expect 'own common' mgdl fit --output-scale ''
expect 'lbfgs' mgdl fit --input X.npy --optimizer l
expect 'auto comma semicolon tab space pipe' mgdl predict --delimiter ''
expect '' mgdl fit --width ''
expect bash-completion mgdl fit --csv bash
expect '--quiet' mgdl convex --path 3 --q
for command in $commands; do
  # Every flag of the help, "  -h,--help" or "  --flag VALUE".
  flags=$("$mgdl" "$command" --help | sed -n 's/^  \(-.,\)\{0,1\}\(--[a-z-]*\).*/\2/p')
  [ -n "$flags" ] || fail "mgdl $command --help has no flags"
  for flag in $flags; do
    case " $(offered mgdl "$command" --) " in
      *" $flag "*) ;;
      *) fail "mgdl $command: $flag is not offered" ;;
    esac
    if [ -n "${2:-}" ] && ! grep -qF -- "${flag//-/\\-}" "$2/man1/mgdl-$command.1"; then
      fail "$flag is not in mgdl-$command.1"
    fi
  done
done
