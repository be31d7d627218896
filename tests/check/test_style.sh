#!/usr/bin/env bash
# What a machine can see of the house rules. Long files and functions are warned about, the rest fails.
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"

sources '*.[ch]' | xargs wc -l | awk '$2 != "total" && $1 > 600 { print "# warning: " $2 " has " $1 " lines: is there a seam?" }'
if ctags --version 2>/dev/null | grep -q Universal; then
  sources 'core/*.c' 'plugins/*.c' 'plugin-api/*.c' | xargs ctags -x --c-kinds=f --_xformat='%N %F %n %e' |
    awk '$4 - $3 > 60 { print "# warning: " $1 " in " $2 " has " $4 - $3 + 1 " lines" }'
fi

both=$(sources 'core/*.c' 'plugins/*.c' 'plugin-api/*.c' | xargs grep -lE '\bgoto\b' | xargs -r grep -lE 'BT_AUTO_|cleanup\(')
is "$both" "" "no goto beside cleanup attributes"

first=$(sources 'core/*.h' 'plugin-api/*.h' | xargs awk 'FNR == 1 && !/^\/\*/ { print FILENAME }')
is "$first" "" "every header begins with what it is for"

# A child that is started at that moment would have it for ever; of a call over two lines the flags stand on the first.
held=$(sources 'core/*.c' 'plugins/*.c' 'plugin-api/checker/*.c' | xargs grep -nE '[^a-z_0-9>.](open|openat|pipe2?|socket|socketpair|accept4?|dup|dup3|fopen|epoll_create1?|eventfd|inotify_init1?|mkstemp|mkostemp|memfd_create|timerfd_create|signalfd)\(' |
  grep -vE 'CLOEXEC|fopen\(.*, "[rwab+]+e"\)|^[^:]*:[0-9]*: *(/\*|\*|//)')
is "$held" "" "every descriptor is close-on-exec from its beginning"

names=$(sources 'core/*.h' | xargs grep -nE '^[a-z].*\b(berth_[a-z_]+)\(' | grep -v 'struct berth_\|enum berth_')
is "$names" "" "the core exports bt_ names only"

while read -r script; do
  succeeds "$script is a sound script" bash -n "$script"
done < <(sources 'tests/*.sh' 'config/*.sh' tests/run .ci/run config/quickstart)
done_testing
