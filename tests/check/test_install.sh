#!/usr/bin/env bash
# "make install DESTDIR=…" puts everything where the FHS has it, what was installed works, and "make uninstall" takes all of it away.
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"
export ASAN_OPTIONS=detect_leaks=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
root=$dir/root

[ -x "$build/core/berthd" ] || skip_all "there is no build in $build"
[ "$build" -ef "$src" ] || [ -f "$build/Makefile" ] || skip_all "there is no build in $build"
fhs=(prefix=/usr sysconfdir=/etc localstatedir=/var libdir=/usr/lib)
succeeds "make install" make -C "$build" -s install DESTDIR="$root" "${fhs[@]}"
there() {
  [ -s "$root$1" ]
  ok $? "$1"
}
for file in bin/berth bin/berth-plugin-check share/man/man1/berth-plugin-check.1 sbin/berthd libexec/berth/berth-portd lib/pkgconfig/berth-plugin.pc lib/systemd/system/berthd.service \
  share/man/man1/berth.1 share/man/man8/berthd.8 share/man/man5/berthd.yaml.5 share/bash-completion/completions/berth.bash \
  share/zsh/site-functions/_berth share/fish/vendor_completions.d/berth.fish share/berth/berthd.yaml share/berth/x-berth.schema.json share/doc/berth/README.md; do
  there "/usr/$file"
done
for plugin in runtime-docker runtime-oci runtime-sim registry-oci monitor-prometheus chat-webhook lb-haproxy; do
  there "/usr/lib/berth/plugins/$plugin.so"
done
for header in plugin-api/include/berth/*.h; do
  there "/usr/include/berth/${header##*/}"
done
there /usr/share/aclocal/berth-plugin.m4
for file in libexec/berth/berth-plugin-host libexec/berth/berth-plugin-lua share/berth/examples/python/notify.py \
  share/berth/examples/lua/greeter.lua; do
  there "/usr/$file"
done
while read -r file; do
  there "/usr/share/berth/${file#plugin-api/}"
done < <(find plugin-api/template -type f)
for page in plugin-api/docs/*.md plugin-api/docs/reference/*.md; do
  there "/usr/share/doc/berth/plugin-api/${page#plugin-api/docs/}"
done
is "$(cd "$dir" && "$root/usr/bin/berth" plugin new chat-x --interface chat --format json | jq -r .name)" chat-x \
  "the installed command finds the installed templates"
for policy in config/policies/*.lua; do
  there "/usr/share/berth/policies/${policy##*/}"
done
for page in config/docs/*.md; do
  there "/usr/share/doc/berth/${page##*/}"
done
is "$(cd "$root" && ls)" usr "nothing outside of /usr: what is in /etc and /var belongs to the operator"

# The installed programs, with folders of their own.
cat >"$dir/berthd.yaml" <<YAML
state: {path: $dir/state/state.db}
run_dir: $dir/run
plugin_dir: $root/usr/lib/berth/plugins
api: {tcp: {listen: null}}
policies: {dir: $root/usr/share/berth/policies}
plugins: [{plugin: registry-oci}, {plugin: monitor-prometheus}]
YAML
succeeds "the sample is a sound configuration" "$root/usr/sbin/berthd" --config "$root/usr/share/berth/berthd.yaml" --check
succeeds "berthd finds its plug-ins" "$root/usr/sbin/berthd" --config "$dir/berthd.yaml" --check
"$root/usr/sbin/berthd" --config "$dir/berthd.yaml" >"$dir/log" 2>&1 &
pid=$!
export BERTH_HOST=unix://$dir/run/berth.sock
until=$((SECONDS + 20))
until "$root/usr/bin/berth" ls >/dev/null 2>&1 || [ $SECONDS -ge $until ]; do read -rt 0.05 <> <(:); done
is "$("$root/usr/bin/berth" plugin ls --format json | jq -r '[.[].status] | unique | join(" ")')" ok "berthd runs, and its plug-ins"
is "$("$root/usr/bin/berth" policy ls --format json | jq -r '[.[].status] | unique | join(" ")')" ok "the sample policies are in force"
succeeds "and pass their tests" "$root/usr/bin/berth" policy test "$root/usr/share/berth/policies"
kill "$pid"
wait "$pid"
is $? 0 "it ends in good order"
# shellcheck source=/dev/null
is "$(COMP_WORDS=() && . "$root/usr/share/bash-completion/completions/berth.bash" && complete -p berth | grep -c berth)" 1 "bash finds the completion"

succeeds "make uninstall" make -C "$build" -s uninstall DESTDIR="$root" "${fhs[@]}"
is "$(find "$root" ! -type d)" "" "takes all of it away"
done_testing
