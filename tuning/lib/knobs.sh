# shellcheck shell=bash disable=SC2034
# What check, apply and revert share: the list of knobs, what a host has, and whether that will do.
# WEIR_ROOT is where the host's files are, "" for this host's own.

readonly ROOT=${WEIR_ROOT:-}
readonly STATE=$ROOT/var/lib/weir/tuning.state
readonly SYSCTL_FILE=$ROOT/etc/sysctl.d/60-weir.conf
readonly LIMITS_FILE=$ROOT/etc/security/limits.d/60-weir.conf
readonly TMPFILES_FILE=$ROOT/etc/tmpfiles.d/60-weir.conf
readonly SEPARATOR=$'\x1f'

KNOBS=$(dirname "${BASH_SOURCE[0]}")/../knobs.toml

# Each knob on a line: name, kind, path, want, why, effect, apply, revert, with SEPARATOR between them.
knobs() {
  awk -v separator="$SEPARATOR" '
    BEGIN { count = split("name kind path want why effect apply revert", order, " ") }
    function flush(  line, i) {
      if (!inside) return
      for (i = 1; i <= count; i++) line = line (i > 1 ? separator : "") text[order[i]]
      print line
    }
    /^\[\[knob\]\]/ { flush(); inside = 1; delete text; next }
    inside && match($0, /^[a-z]+ = "/) {
      key = substr($0, 1, index($0, " ") - 1)
      value = substr($0, RLENGTH + 1)
      sub(/"[^"]*$/, "", value)
      text[key] = value
    }
    END { flush() }' "$KNOBS"
}

# The files of a knob of kind $1 and path $2, one a line; none for a limit or the kernel.
files_of() {
  local found
  case $1 in
    sysctl) echo "$ROOT/proc/sys/$2" ;;
    file) compgen -G "$ROOT$2" | LC_ALL=C sort ;;
    irq)
      for found in $(compgen -G "$ROOT$2" | LC_ALL=C sort); do
        echo "$ROOT/proc/irq/${found##*/}/smp_affinity_list"
      done
      ;;
  esac
  return 0
}

# The value in file $1: in one line, and of a list with a [choice] that choice. Fails where it cannot be read.
value_of() {
  local text
  text=$(tr -s "[:space:]" " " 2>/dev/null <"$1") || return
  text=${text% }
  if [[ $text =~ \[([^]]+)\] ]]; then text=${BASH_REMATCH[1]}; fi
  echo "$text"
}

# Whether $1 and $2 are the same; a mask may be written with leading zeros and commas.
same() { [ "$(bare "$1")" = "$(bare "$2")" ]; }

bare() {
  local text=$1
  if [[ $text =~ ^[0-9a-f]+(,[0-9a-f]{8})*$ ]]; then
    text=${text//,/}
    text=${text#"${text%%[!0]*}"}
  fi
  echo "${text:-0}"
}

# What the limit or the kernel of path $1 is.
fact_of() {
  case $1 in
    release) cat "$ROOT/proc/sys/kernel/osrelease" 2>/dev/null ;;
    nofile) awk '/^Max open files/ { print $5 }' "$ROOT/proc/self/limits" 2>/dev/null ;;
    memlock) awk '/^Max locked memory/ { print $5 == "unlimited" ? $5 : int($5 / 1024) }' "$ROOT/proc/self/limits" 2>/dev/null ;;
  esac
}

# The numbers of the cores that are online.
cores() {
  local part
  for part in $(tr ',' ' ' <"$ROOT/sys/devices/system/cpu/online"); do
    seq "${part%-*}" "${part#*-}"
  done
}

# The mask of the cores $@, in groups of 32 as the kernel writes it.
mask_of() {
  local core word highest=0 words=() mask
  for core in "$@"; do
    word=$((core / 32))
    words[word]=$((${words[word]:-0} | 1 << core % 32))
    [ $word -le $highest ] || highest=$word
  done
  mask=$(printf '%x' "${words[highest]}")
  for ((word = highest - 1; word >= 0; word--)); do mask+=$(printf ',%08x' "${words[word]:-0}"); done
  echo "$mask"
}

# What a knob of kind $1 that wants $2 is set to; $3 is which of its files it is, from 0.
target_of() {
  local all
  case $2 in
    '>= '* | '= '*) echo "${2#*= }" ;;
    *..*) echo "${2/../ }" ;;
    cores) mapfile -t all < <(cores) && mask_of "${all[@]}" ;;
    spread)
      mapfile -t all < <(cores)
      if [ "$1" = irq ]; then echo "${all[$3 % ${#all[@]}]}"; else mask_of "${all[$3 % ${#all[@]}]}"; fi
      ;;
  esac
}

# Whether value $3 is what a knob of kind $1 that wants $2 should have; $4 as target_of's $3.
holds() {
  local lowest highest
  case $2 in
    any) return 0 ;;
    '>= '*) [ "$3" = unlimited ] || [ "$(printf '%s\n' "${2#>= }" "$3" | sort -V | head -1)" = "${2#>= }" ] ;;
    *..*)
      read -r lowest highest <<<"$3"
      [ "$lowest" -le "${2%..*}" ] && [ "$highest" -ge "${2#*..}" ]
      ;;
    *) same "$3" "$(target_of "$1" "$2" "$4")" ;;
  esac
}

# Fails, saying so, unless each of $@ is the name of a knob.
known() {
  local name
  for name in "$@"; do
    knobs | cut -d"$SEPARATOR" -f1 | grep -qxF -- "$name" && continue
    echo "no knob is called '$name'; tuning/check names them" >&2
    return 2
  done
}

# Whether $1 is among those asked for, $2 and so on; all are if none is named.
asked() {
  local name=$1 other
  shift
  [ $# -gt 0 ] || return 0
  for other in "$@"; do [ "$other" != "$name" ] || return 0; done
  return 1
}
