# Completions of berth(1) for bash; made by "berth completion bash".
_berth() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb= word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      -H|--host|-n|--namespace) ((i++)) ;;
      -*) [[ -z $verb ]] || break ;;
      *)
        if [[ -z $verb ]]; then
          verb=$word
        else
          case $verb in secret|volume|network|image|node|plugin|policy) verb+=" $word" ;; esac
          break
        fi ;;
    esac
  done
  COMPREPLY=()
  case $verb in
    "") COMPREPLY=($(compgen -W " up plan simulate down scale restart rollback rollout history follow unfollow sync config ls ps inspect logs exec top events why autoscale job secret route volume network image source node pool quota node doctor plugin policy completion version help --host -H --namespace -n --help -h --version -V" -- "$cur")) ;;
    rollout) COMPREPLY=($(compgen -W " promote pause abort" -- "$cur")) ;;
    autoscale) COMPREPLY=($(compgen -W " ls apply" -- "$cur")) ;;
    job) COMPREPLY=($(compgen -W " ls run" -- "$cur")) ;;
    secret) COMPREPLY=($(compgen -W " ls put rm" -- "$cur")) ;;
    route) COMPREPLY=($(compgen -W " ls" -- "$cur")) ;;
    volume) COMPREPLY=($(compgen -W " ls rm" -- "$cur")) ;;
    network) COMPREPLY=($(compgen -W " ls rm" -- "$cur")) ;;
    image) COMPREPLY=($(compgen -W " ls pull import load rm prune" -- "$cur")) ;;
    source) COMPREPLY=($(compgen -W " ls inspect" -- "$cur")) ;;
    node) COMPREPLY=($(compgen -W " cordon uncordon drain ls" -- "$cur")) ;;
    pool) COMPREPLY=($(compgen -W " ls" -- "$cur")) ;;
    quota) COMPREPLY=($(compgen -W " ls" -- "$cur")) ;;
    node) COMPREPLY=($(compgen -W " inspect" -- "$cur")) ;;
    plugin) COMPREPLY=($(compgen -W " ls new" -- "$cur")) ;;
    policy) COMPREPLY=($(compgen -W " ls test" -- "$cur")) ;;
    "up")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --env-file) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --profile) :; return ;;
        --project-directory) compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        --compat) COMPREPLY=($(compgen -W "refuse warn" -- "$cur")); return ;;
        --wait-timeout) :; return ;;
        --scale) :; return ;;
        --message|-m) :; return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --env-file --profile --project-directory --compat --dry-run --detach -d --wait-timeout --build --no-build --force-recreate --scale --message -m --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "plan")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --env-file) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --profile) :; return ;;
        --project-directory) compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        --compat) COMPREPLY=($(compgen -W "refuse warn" -- "$cur")); return ;;
        --scale) :; return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --env-file --profile --project-directory --compat --rebalance --force-recreate --scale --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "simulate")
      case $prev in
        --nodes) :; return ;;
        --like) COMPREPLY=($(compgen -W "$({ berth node ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --env-file) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --profile) :; return ;;
        --project-directory) compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        --compat) COMPREPLY=($(compgen -W "refuse warn" -- "$cur")); return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --nodes --like --file -f --project-name -p --env-file --profile --project-directory --compat --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "down")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --wait-timeout) :; return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --volumes -v --detach -d --wait-timeout --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "scale")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --wait-timeout) :; return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --recommend --dry-run --detach -d --wait-timeout --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; berth config --services; berth ps -q --all; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "restart")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; berth config --services; berth ps -q --all; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "rollback")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --to) :; return ;;
        --wait-timeout) :; return ;;
        --message|-m) :; return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --to --dry-run --detach -d --wait-timeout --message -m --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "rollout promote")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "rollout pause")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "rollout abort")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "history")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "follow")
      case $prev in
        --repo) :; return ;;
        --branch) :; return ;;
        --tag) :; return ;;
        --path) :; return ;;
        --file|-f) :; return ;;
        --env|-e) :; return ;;
        --profile) :; return ;;
        --interval) :; return ;;
        --signed-by) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --signed-by-secret) COMPREPLY=($(compgen -W "$({ berth secret ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --compat) COMPREPLY=($(compgen -W "refuse warn" -- "$cur")); return ;;
        --wait-timeout) :; return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --repo --branch --tag --path --file -f --env -e --profile --interval --on-request --correct --signed-by --signed-by-secret --no-webhook --no-report --compat --detach -d --wait-timeout --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "unfollow")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "sync")
      case $prev in
        --wait-timeout) :; return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --dry-run --detach -d --wait-timeout --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "config")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --env-file) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --profile) :; return ;;
        --project-directory) compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        --compat) COMPREPLY=($(compgen -W "refuse warn" -- "$cur")); return ;;
        --hash) :; return ;;
        --format) :; return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --env-file --profile --project-directory --compat --check --services --volumes --networks --secrets --configs --profiles --images --hash --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))
      fi ;;
    "ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --all-namespaces -A --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "ps")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --all -a --all-namespaces -A --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; berth config --services; berth ps -q --all; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "inspect")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --format) :; return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; berth config --services; berth ps -q --all; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "logs")
      case $prev in
        --file) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --tail) :; return ;;
        --since) :; return ;;
        --format) COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file --project-name -p --all -a --follow -f --tail --since --timestamps -t --no-prefix --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; berth config --services; berth ps -q --all; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "exec")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --user|-u) :; return ;;
        --workdir|-w) :; return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --interactive -i --tty -t --user -u --workdir -w --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; berth config --services; berth ps -q --all; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "top")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --all -a --once --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; berth config --services; berth ps -q --all; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "events")
      case $prev in
        --type) :; return ;;
        --after) :; return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --follow -f --type --after --all-namespaces -A --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "why")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; berth config --services; berth ps -q --all; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "autoscale ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --all-namespaces -A --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "autoscale apply")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --wait-timeout) :; return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --dry-run --detach -d --wait-timeout --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; berth config --services; berth ps -q --all; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "job ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --all-namespaces -A --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "job run")
      case $prev in
        --file|-f) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --project-name|-p) COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur")); return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --file -f --project-name -p --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; berth config --services; berth ps -q --all; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "secret ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "secret put")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth secret ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "secret rm")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth secret ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "route ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --all-namespaces -A --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "volume ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "volume rm")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth volume ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "network ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "network rm")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth network ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "image ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "image pull")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --platform) :; return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --platform --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "image import")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))
      fi ;;
    "image load")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))
      fi ;;
    "image rm")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "image prune")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "source ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --all-namespaces -A --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "source inspect")
      case $prev in
        --format) :; return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "node cordon")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth node ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "node uncordon")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth node ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "node drain")
      case $prev in
        --timeout) :; return ;;
        --wait-timeout) :; return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --timeout --wait --wait-timeout --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth node ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "node ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "pool ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "quota ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "node inspect")
      case $prev in
        --format) :; return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$({ berth node ls -q; } 2>/dev/null)" -- "$cur"))
      fi ;;
    "doctor")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "plugin ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "plugin new")
      case $prev in
        --interface) COMPREPLY=($(compgen -W "chat lb monitor registry runtime scm" -- "$cur")); return ;;
        --language) COMPREPLY=($(compgen -W "c python lua" -- "$cur")); return ;;
        --dir) compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        --license) :; return ;;
        --template) compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --interface --language --dir --license --template --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "policy ls")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --quiet -q --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "policy test")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur"))
      fi ;;
    "completion")
      case $prev in
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur"))
      fi ;;
    "version")
      case $prev in
        --format) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --format --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
    "help")
      case $prev in
        --host|-H) :; return ;;
        --namespace|-n) :; return ;;
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W " --host -H --namespace -n --help -h --version -V" -- "$cur"))
      else
        :
      fi ;;
  esac
}
complete -F _berth berth
